"""Records as rows, both ways. Reading is tolerant: a person may have edited anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import msgspec
from sqlalchemy import Row

from moorline_sidecar.domain.content import content_of
from moorline_sidecar.domain.session import Json, Mark, Reason, Record, Session, Tombstone
from moorline_sidecar.stores.base import AccessGuard, Copy, Expired, Summary
from moorline_sidecar.stores.registry import Member

Values: TypeAlias = dict[str, Any]
"""The values of one row, by the usual names of its columns."""

CONTEXT_ITSELF: Final = ""
"""The name in the row that says that there is a context."""

INTEGER_BOUND: Final = 1 << 62
"""Far beyond every honest version, and one more still fits into 64 bits."""

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode


def session_values(session: Session) -> Values:
    return {
        "id": session.key,
        "valid": True,
        "version": session.version,
        "created": session.created,
        "accessed": session.accessed,
        "last_accessed": session.last_accessed,
        "expiry": session.expiry,
        "deadline": session.deadline,
        "max_idle": session.max_idle_ms,
        "last_node": session.last_node,
        "last_saved": session.last_saved,
        "cookie_set": session.cookie_set,
        "principal": session.principal,
        "recent": recent_text(session.recent),
        "write_id": session.write_id,
        "renew_of": session.renew_of,
    }


def recent_text(recent: tuple[str, ...]) -> str | None:
    return _encode(recent).decode() if recent else None


def context_values(key: str, context: str, attributes: Mapping[str, Json]) -> Iterator[Values]:
    """The rows of a whole context."""
    yield {"id": key, "context": context, "name": CONTEXT_ITSELF, "value": "{}"}
    for name, value in attributes.items():
        yield attribute_values(key, context, name, value)


def attribute_values(key: str, context: str, name: str, value: Json) -> Values:
    return {"id": key, "context": context, "name": name, "value": _encode(value).decode()}


def records_of(rows: Iterable[Row[Any]]) -> dict[str, Record]:
    """Records from rows of sessions, each of them once for each of its attributes."""
    heads: dict[str, Row[Any]] = {}
    contexts: dict[str, dict[str, dict[str, Json]]] = {}
    for row in rows:
        heads[row.id] = row
        found = contexts.setdefault(row.id, {})
        if row.context is not None:
            attributes = found.setdefault(row.context, {})
            if row.name != CONTEXT_ITSELF:
                attributes[row.name] = _value(row.value)
    return {
        key: _session(row, contexts[key]) if row.valid else _tombstone(row, contexts[key])
        for key, row in heads.items()
    }


def mark_of(row: Row[Any]) -> Mark:
    if not row.valid:
        return Mark(version=_integer(row.version), is_valid=False)
    return Mark(
        version=_integer(row.version),
        is_valid=True,
        accessed=row.accessed,
        last_accessed=_either(row.last_accessed, row.accessed),
        expiry=row.expiry,
        max_idle_ms=row.max_idle or 0,
        last_node=row.last_node or "",
        last_saved=_either(row.last_saved, row.accessed),
        write_id=row.write_id or "",
    )


def access_of(row: Row[Any]) -> AccessGuard:
    return AccessGuard(row.accessed, row.expiry, row.last_node or "")


def expired_of(row: Row[Any]) -> Expired:
    return Expired(key=row.id, access=access_of(row))


def copy_of(row: Row[Any]) -> Copy:
    return Copy(key=row.id, origin=row.renew_of, version=_integer(row.version))


def summary_of(row: Row[Any]) -> Summary:
    return Summary(
        key=row.id,
        created=row.created,
        accessed=row.accessed,
        expiry=row.expiry,
        last_node=row.last_node or "",
        renew_of=row.renew_of,
    )


def member_of(row: Row[Any]) -> Member:
    return Member(
        process=row.process,
        worker=row.worker,
        pod=row.pod,
        version=row.version,
        since=row.since,
        beat=row.beat,
        sessions=row.sessions,
        unsaved=row.unsaved,
    )


def _session(
    row: Row[Any], contexts: Mapping[str, Mapping[str, Json]], *, is_grace: bool = False
) -> Session:
    accessed = row.accessed
    return Session(
        key=row.id,
        version=_integer(row.version) - is_grace,
        created=row.created,
        accessed=accessed,
        last_accessed=_either(row.last_accessed, accessed),
        max_idle_ms=row.max_idle or 0,
        expiry=row.expiry,
        deadline=row.deadline,
        last_node=row.last_node or "",
        last_saved=_either(row.last_saved, accessed),
        cookie_set=_either(row.cookie_set, accessed),
        principal=row.principal,
        recent=_recent(row.recent),
        write_id="" if is_grace else row.write_id,
        renew_of=None if is_grace else row.renew_of,
        contexts=content_of(contexts),
    )


def _tombstone(row: Row[Any], contexts: Mapping[str, Mapping[str, Json]]) -> Tombstone:
    has_grace = row.grace_until is not None
    return Tombstone(
        key=row.id,
        version=_integer(row.version),
        created=row.created,
        accessed=row.accessed,
        invalidated=_either(row.invalidated, row.accessed),
        reason=_reason(row.reason),
        write_id=row.write_id,
        renewed_to=row.renewed_to,
        grace_until=row.grace_until,
        grace=_session(row, contexts, is_grace=True) if has_grace else None,
    )


def _value(text: str) -> Json:
    try:
        return _decode(text)
    except msgspec.DecodeError:
        # Of no use as JSON, it is still what somebody wrote there.
        return text


def _recent(text: str | None) -> tuple[str, ...]:
    found = _value(text) if text else None
    return tuple(key for key in found if isinstance(key, str)) if isinstance(found, list) else ()


def _either(found: int | None, default: int) -> int:
    return default if found is None else found


def _integer(found: int) -> int:
    return min(max(found, -INTEGER_BOUND), INTEGER_BOUND)


def _reason(found: str | None) -> Reason:
    try:
        return Reason(found or "")
    except ValueError:
        # A person set `valid` to false by hand.
        return Reason.ADMIN
