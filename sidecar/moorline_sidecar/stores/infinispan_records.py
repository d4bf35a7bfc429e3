"""Records as messages of `moorline.proto`: the whole as JSON, beside it what queries ask for.

The same record is always the same bytes. What nobody can read is no record.
"""

from __future__ import annotations

from typing import Final

from moorline_sidecar.domain.session import Record, Session, Tombstone
from moorline_sidecar.stores.base import AccessGuard, Copy, Expired, Summary
from moorline_sidecar.stores.infinispan_protobuf import (
    Scalar,
    field,
    fields_of,
    unwrapped,
    wrapped_message,
    wrapped_text,
)
from moorline_sidecar.stores.json_records import member_of, member_text, record_of, text_of
from moorline_sidecar.stores.registry import Member

RECORD: Final = "moorline.Record"
WORKER: Final = "moorline.Worker"

SCHEMA_NAME: Final = "moorline.proto"
SCHEMA: Final = """\
syntax = "proto2";
package moorline;

message Record {
  optional string key = 1;
  optional bool live = 2;
  optional int64 accessed = 3;
  optional int64 expiry = 4;
  optional int64 due = 5;
  optional int64 copied = 6;
  optional int64 invalidated = 7;
  optional int64 graceUntil = 8;
  optional string principal = 9;
  optional int64 revision = 10;
  optional int64 created = 11;
  optional string lastNode = 12;
  optional string renewOf = 13;
  optional bytes json = 15;
}

message Worker {
  optional string process = 1;
  optional int64 beat = 2;
  optional bytes json = 15;
}
"""
"""`due` is the expiry of what is no copy, `copied` when a copy was last saved, and `revision` the
version, which is a word of the query language."""

EXPIRED_FIELDS: Final = ("key", "expiry", "accessed", "lastNode")
COPY_FIELDS: Final = ("key", "renewOf", "revision")
SUMMARY_FIELDS: Final = ("key", "created", "accessed", "expiry", "lastNode", "renewOf")

_JSON: Final = 15

CLOCK_VALUE: Final = wrapped_message(WORKER, b"")
"""Of an entry that is about nobody."""


def key_of(key: str) -> bytes:
    return wrapped_text(key)


def value_of(record: Record) -> bytes:
    found = _session(record) if isinstance(record, Session) else _tombstone(record)
    json = field(_JSON, text_of(record))
    return wrapped_message(RECORD, field(1, record.key) + found + json)


def read(key: str, value: bytes) -> Record | None:
    text = _json(value)
    return None if text is None else record_of(key, text)


def expired_of(row: list[Scalar]) -> Expired:
    key, expiry, accessed, last_node = row
    access = AccessGuard(_integer(accessed), _number(expiry), _text(last_node))
    return Expired(key=_text(key), access=access)


def copy_of(row: list[Scalar]) -> Copy:
    key, origin, version = row
    return Copy(key=_text(key), origin=_text(origin), version=_integer(version))


def summary_of(row: list[Scalar]) -> Summary:
    key, created, accessed, expiry, last_node, renew_of = row
    return Summary(
        key=_text(key),
        created=_integer(created),
        accessed=_integer(accessed),
        expiry=_number(expiry),
        last_node=_text(last_node),
        renew_of=_text(renew_of) or None,
    )


def member_value(member: Member) -> bytes:
    fields = field(1, member.process) + field(2, member.beat)
    return wrapped_message(WORKER, fields + field(_JSON, member_text(member)))


def member_in(json: Scalar) -> Member:
    return member_of(json.decode() if isinstance(json, bytes) else _text(json))


def _session(session: Session) -> bytes:
    is_copy = session.renew_of is not None
    return b"".join(
        (
            field(2, 1),
            field(3, session.accessed),
            field(4, session.expiry),
            field(5, None if is_copy else session.expiry),
            field(6, session.last_saved if is_copy else None),
            field(9, session.principal),
            field(10, session.version),
            field(11, session.created),
            field(12, session.last_node),
            field(13, session.renew_of),
        )
    )


def _tombstone(tombstone: Tombstone) -> bytes:
    return b"".join(
        (field(7, tombstone.invalidated), field(8, tombstone.grace_until)),
    )


def _json(value: bytes) -> str | None:
    try:
        message = unwrapped(value)
        if not isinstance(message, bytes):
            return None
        found = dict(fields_of(message)).get(_JSON)
        return found.decode() if isinstance(found, bytes) else None
    except ValueError:
        return None


def _text(found: Scalar) -> str:
    return found if isinstance(found, str) else ""


def _number(found: Scalar) -> int | None:
    return found if isinstance(found, int) else None


def _integer(found: Scalar) -> int:
    return _number(found) or 0
