"""Records as JSON, for stores that keep each as one text; what queries ask for is at the top.

The same record is always the same text: a value is replaced by comparing it as a whole. What nobody
can read is no record.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from moorline_sidecar.domain.content import content_of
from moorline_sidecar.domain.session import Json, Reason, Record, Session, Tombstone
from moorline_sidecar.stores.registry import Member


class _Stored(Struct, kw_only=True, omit_defaults=True, rename="camel"):
    """A session, or a tombstone; the grace of a tombstone is a session within."""

    valid: bool
    version: int
    created: int
    accessed: int
    last_accessed: int | None = None
    expiry: int | None = None
    deadline: int | None = None
    max_idle: int = 0
    last_node: str = ""
    last_saved: int | None = None
    cookie_set: int | None = None
    principal: str | None = None
    recent: tuple[str, ...] = ()
    write_id: str = ""
    renew_of: str | None = None
    # When a copy was last saved. A session has none, so that copies are found by their index.
    copied: int | None = None
    invalidated: int | None = None
    reason: str | None = None
    renewed_to: str | None = None
    grace_until: int | None = None
    grace: _Stored | None = None
    context: dict[str, dict[str, Any]] = {}


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(_Stored, strict=False).decode
_decode_member: Final = msgspec.json.Decoder(Member).decode


def text_of(record: Record) -> str:
    stored = _stored(record) if isinstance(record, Session) else _ended(record)
    return _encode(stored).decode()


def record_of(key: str, text: str) -> Record | None:
    try:
        stored = _decode(text)
    except msgspec.MsgspecError:
        return None
    return _session(key, stored) if stored.valid else _tombstone(key, stored)


def member_text(member: Member) -> str:
    return _encode(member).decode()


def member_of(text: str) -> Member:
    return _decode_member(text)


def _stored(session: Session) -> _Stored:
    return _Stored(
        valid=True,
        version=session.version,
        created=session.created,
        accessed=session.accessed,
        last_accessed=session.last_accessed,
        expiry=session.expiry,
        deadline=session.deadline,
        max_idle=session.max_idle_ms,
        last_node=session.last_node,
        last_saved=session.last_saved,
        cookie_set=session.cookie_set,
        principal=session.principal,
        recent=session.recent,
        write_id=session.write_id,
        renew_of=session.renew_of,
        copied=None if session.renew_of is None else session.last_saved,
        context=_sorted(session.contexts),
    )


def _sorted(contexts: Mapping[str, Mapping[str, Json]]) -> dict[str, dict[str, Json]]:
    """By name, in whatever order they were set; what is within a value stays in its order."""
    return {name: dict(sorted(contexts[name].items())) for name in sorted(contexts)}


def _ended(tombstone: Tombstone) -> _Stored:
    return _Stored(
        valid=False,
        version=tombstone.version,
        created=tombstone.created,
        accessed=tombstone.accessed,
        invalidated=tombstone.invalidated,
        reason=tombstone.reason.value,
        write_id=tombstone.write_id,
        renewed_to=tombstone.renewed_to,
        grace_until=tombstone.grace_until,
        grace=None if tombstone.grace is None else _stored(tombstone.grace),
    )


def _session(key: str, stored: _Stored) -> Session:
    return Session(
        key=key,
        version=stored.version,
        created=stored.created,
        accessed=stored.accessed,
        last_accessed=_either(stored.last_accessed, stored.accessed),
        max_idle_ms=stored.max_idle,
        expiry=stored.expiry,
        deadline=stored.deadline,
        last_node=stored.last_node,
        last_saved=_either(stored.last_saved, stored.accessed),
        cookie_set=_either(stored.cookie_set, stored.accessed),
        principal=stored.principal,
        recent=stored.recent,
        write_id=stored.write_id,
        renew_of=stored.renew_of,
        contexts=content_of(stored.context),
    )


def _tombstone(key: str, stored: _Stored) -> Tombstone:
    return Tombstone(
        key=key,
        version=stored.version,
        created=stored.created,
        accessed=stored.accessed,
        invalidated=_either(stored.invalidated, stored.accessed),
        reason=_reason(stored.reason),
        write_id=stored.write_id,
        renewed_to=stored.renewed_to,
        grace_until=stored.grace_until,
        grace=None if stored.grace is None else _session(key, stored.grace),
    )


def _either(found: int | None, default: int) -> int:
    return default if found is None else found


def _reason(found: str | None) -> Reason:
    try:
        return Reason(found or "")
    except ValueError:
        # A person set `valid` to false by hand.
        return Reason.ADMIN
