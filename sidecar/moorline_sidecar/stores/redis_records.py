"""Records as hashes, both ways. Reading is tolerant: a person may have edited anything.

An attribute is the field `["<context>","<name>"]`, its value JSON; the field `["<context>"]` says
that there is the context. The other fields have MongoDB's names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from moorline_sidecar.domain.content import content_of
from moorline_sidecar.domain.session import Json, Mark, Reason, Record, Session, Tombstone
from moorline_sidecar.stores.base import AccessGuard, Copy, Expired, Summary

Value: TypeAlias = str | bytes
Row: TypeAlias = Sequence[bytes | None]
"""Fields in the order that was asked for; None for one that is not there."""

INTEGER_BOUND: Final = 1 << 53
"""Beyond every honest number; Lua and sorted sets count exactly up to there."""

MARK: Final = (
    *("version", "valid", "accessed", "lastAccessed", "expiry", "maxIdle", "lastNode"),
    *("lastSaved", "writeId"),
)

KEPT: Final = (
    *("valid", "version", "created", "accessed", "invalidated", "reason", "writeId", "renewedTo"),
)
"""What a tombstone has after its grace."""

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode
_decode_path: Final = msgspec.json.Decoder(list[str]).decode


def session_fields(session: Session) -> list[Value]:
    """Fields and values in turn."""
    found: list[Value] = [
        *("valid", "1", "version", str(session.version)),
        *("created", str(session.created), "accessed", str(session.accessed)),
        *("lastAccessed", str(session.last_accessed), "maxIdle", str(session.max_idle_ms)),
        *("lastNode", session.last_node, "lastSaved", str(session.last_saved)),
        *("cookieSet", str(session.cookie_set), "writeId", session.write_id),
    ]
    optional: dict[str, Value] = {
        "expiry": text_of(session.expiry),
        "deadline": text_of(session.deadline),
        "principal": session.principal or "",
        "recent": recent_text(session.recent),
        "renewOf": session.renew_of or "",
    }
    for field, value in optional.items():
        if value:
            found += field, value
    for context, attributes in session.contexts.items():
        found += context_fields(context, attributes)
    return found


def text_of(number: int | None) -> str:
    return "" if number is None else str(number)


def recent_text(recent: tuple[str, ...]) -> bytes:
    return _encode(recent) if recent else b""


def context_fields(context: str, attributes: Mapping[str, Json]) -> list[Value]:
    """The fields of a whole context."""
    found: list[Value] = [_encode([context]), b"{}"]
    for name, value in attributes.items():
        found += attribute_field(context, name), _encode(value)
    return found


def attribute_field(context: str, name: str) -> bytes:
    return _encode([context, name])


def attribute_value(value: Json) -> bytes:
    return _encode(value)


def record_of(key: str, row: Sequence[bytes]) -> Record | None:
    """The record from fields and values in turn; None where there are none."""
    if not row:
        return None
    fields: dict[bytes, bytes] = {}
    contexts: dict[str, dict[str, Json]] = {}
    for field, value in zip(row[::2], row[1::2], strict=True):
        if field[:1] == b"[":
            _add(contexts, field, value)
        else:
            fields[field] = value
    if fields.get(b"valid") == b"1":
        return _session(key, fields, contexts)
    return _tombstone(key, fields, contexts)


def mark_of(row: Row) -> Mark | None:
    """From the fields of `MARK`."""
    version, valid, accessed, last_accessed, expiry, max_idle, last_node, saved, write_id = row
    if valid is None:
        return None
    if valid != b"1":
        return Mark(version=_integer(version), is_valid=False)
    return Mark(
        version=_integer(version),
        is_valid=True,
        accessed=_integer(accessed),
        last_accessed=_integer(last_accessed or accessed),
        expiry=_number(expiry),
        max_idle_ms=_integer(max_idle),
        last_node=_text(last_node),
        last_saved=_integer(saved or accessed),
        write_id=_text(write_id),
    )


def expired_of(row: Row) -> Expired:
    key, accessed, expiry, last_node = row
    access = AccessGuard(_integer(accessed), _number(expiry), _text(last_node))
    return Expired(key=_text(key), access=access)


def copy_of(row: Row) -> Copy:
    key, origin, version = row
    return Copy(key=_text(key), origin=_text(origin), version=_integer(version))


def summary_of(row: Row) -> Summary:
    key, created, accessed, expiry, last_node, renew_of = row
    return Summary(
        key=_text(key),
        created=_integer(created),
        accessed=_integer(accessed),
        expiry=_number(expiry),
        last_node=_text(last_node),
        renew_of=_text(renew_of) or None,
    )


def _add(contexts: dict[str, dict[str, Json]], field: bytes, value: bytes) -> None:
    try:
        path = _decode_path(field)
    except msgspec.DecodeError:
        return
    if path:
        attributes = contexts.setdefault(path[0], {})
        if len(path) > 1:
            attributes[path[1]] = _value(value)


def _session(
    key: str,
    fields: Mapping[bytes, bytes],
    contexts: Mapping[str, Mapping[str, Json]],
    *,
    is_grace: bool = False,
) -> Session:
    accessed = fields.get(b"accessed")
    return Session(
        key=key,
        version=_integer(fields.get(b"version")) - is_grace,
        created=_integer(fields.get(b"created")),
        accessed=_integer(accessed),
        last_accessed=_integer(fields.get(b"lastAccessed", accessed)),
        max_idle_ms=_integer(fields.get(b"maxIdle")),
        expiry=_number(fields.get(b"expiry")),
        deadline=_number(fields.get(b"deadline")),
        last_node=_text(fields.get(b"lastNode")),
        last_saved=_integer(fields.get(b"lastSaved", accessed)),
        cookie_set=_integer(fields.get(b"cookieSet", accessed)),
        principal=_text(fields.get(b"principal")) or None,
        recent=_recent(fields.get(b"recent")),
        write_id="" if is_grace else _text(fields.get(b"writeId")),
        renew_of=None if is_grace else _text(fields.get(b"renewOf")) or None,
        contexts=content_of(contexts),
    )


def _tombstone(
    key: str, fields: Mapping[bytes, bytes], contexts: Mapping[str, Mapping[str, Json]]
) -> Tombstone:
    grace_until = _number(fields.get(b"graceUntil"))
    has_grace = grace_until is not None
    accessed = fields.get(b"accessed")
    return Tombstone(
        key=key,
        version=_integer(fields.get(b"version")),
        created=_integer(fields.get(b"created")),
        accessed=_integer(accessed),
        invalidated=_integer(fields.get(b"invalidated", accessed)),
        reason=_reason(fields.get(b"reason")),
        write_id=_text(fields.get(b"writeId")),
        renewed_to=_text(fields.get(b"renewedTo")) or None,
        grace_until=grace_until,
        grace=_session(key, fields, contexts, is_grace=True) if has_grace else None,
    )


def _value(text: bytes) -> Json:
    try:
        return _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Of no use as JSON, it is still what somebody wrote there.
        return _text(text)


def _recent(text: bytes | None) -> tuple[str, ...]:
    found = _value(text) if text else None
    return tuple(key for key in found if isinstance(key, str)) if isinstance(found, list) else ()


def _text(found: bytes | None) -> str:
    return "" if found is None else found.decode(errors="replace")


def _number(found: bytes | None) -> int | None:
    return None if found is None else _integer(found)


def _integer(found: bytes | None) -> int:
    try:
        number = int(found or 0)
    except ValueError:
        return 0
    return min(max(number, -INTEGER_BOUND), INTEGER_BOUND)


def _reason(found: bytes | None) -> Reason:
    try:
        return Reason(_text(found))
    except ValueError:
        # A person set `valid` to 0 by hand.
        return Reason.ADMIN
