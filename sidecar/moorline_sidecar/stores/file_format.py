"""A record as the bytes of a file, and what the file's time of modification tells of it.

    moorline-session 1 <crc32 of the head> <crc32 of the content> <length> <length>
    {"key": …, "session": …}      the head: all but the attributes
    {"/": {…}}                    the content: the attributes

Numbers are eight hexadecimal digits each, so that one read of a few kilobytes brings the head. What
does not match its checksums is of no use, as a whole.

The time of modification is not when a file was written, but when somebody has to look at it next,
in milliseconds; the microseconds below tell the kind of the record. So the file system's own table
is the index: a search opens no file but those that are due. A file without a kind there, as after
a copy that lost the times, is opened by every search.
"""

from __future__ import annotations

import enum
import re
import zlib
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from moorline_sidecar.domain.content import as_json, content_of
from moorline_sidecar.domain.session import Json, Record, Session, Tombstone

HEAD_READ_BYTES: Final = 4_096
"""Brings the first line and, but for very long principals and keys, the head."""

FILE_BYTES_MAX: Final = 64 << 20
"""Larger ones are not Moorline's: `sessions.maxBytes` is far below it."""

_LINE: Final = re.compile(
    rb"moorline-session 1 ([0-9a-f]{8}) ([0-9a-f]{8}) ([0-9a-f]{8}) ([0-9a-f]{8})\n"
)
_LINE_BYTES: Final = len(b"moorline-session 1 ") + 4 * 9
_NS_IN_MS: Final = 1_000_000
_KIND_NS: Final = 1_000
_MS_MAX: Final = (1 << 31) * 1_000 - 1
"""Every file system can hold it; what is due later is looked at too early, once and for all."""


class Unreadable(Exception):
    """The file is not one of ours, or is damaged; the text says what is wrong."""


class Kind(enum.IntEnum):
    """What a search has to know of a record before it opens the file."""

    UNKNOWN = 0
    """Not told: open it."""
    SESSION = 1
    """Due when it expires."""
    ENDLESS = 2
    """A session that never expires, due since its last access."""
    COPY = 3
    """Of a renew, unsettled; due since it was saved, or used if that was before."""
    TOMBSTONE = 4
    """Due since it ended."""
    GRACE = 5
    """A tombstone that keeps what it was."""


class Due(Struct, frozen=True):
    """When somebody has to look at a record, and what for; milliseconds since 1970."""

    kind: Kind
    at: int


class Head(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All of a record but its attributes, which are missing in it; one of the two is there."""

    key: str
    session: Session | None = None
    tombstone: Tombstone | None = None

    @property
    def record(self) -> Record:
        """Raises Unreadable if there is none."""
        found = self.session or self.tombstone
        if found is None or found.key != self.key:
            raise Unreadable("the head holds no record")
        return found


_encode: Final = msgspec.json.Encoder(enc_hook=as_json).encode
_head: Final = msgspec.json.Decoder(Head)
_content: Final = msgspec.json.Decoder(dict[str, dict[str, Json]])


def encoded(record: Record) -> bytes:
    """The whole file."""
    contexts: Mapping[str, Mapping[str, Json]] = {}
    if isinstance(record, Session):
        contexts = record.contexts
        head = Head(key=record.key, session=replace(record, contexts={}))
    else:
        bare = record
        if record.grace is not None:
            contexts = record.grace.contexts
            bare = replace(record, grace=replace(record.grace, contexts={}))
        head = Head(key=record.key, tombstone=bare)
    head_bytes, content = _encode(head), _encode(contexts)
    numbers = (zlib.crc32(head_bytes), zlib.crc32(content), len(head_bytes), len(content))
    line = "moorline-session 1 " + " ".join(f"{number:08x}" for number in numbers)
    return b"".join((line.encode(), b"\n", head_bytes, b"\n", content, b"\n"))


def head_bytes_of(beginning: bytes) -> int:
    """How many bytes of a file bring its head, by the first of them.

    Raises:
        Unreadable: it is none of ours.
    """
    return _LINE_BYTES + _numbers(beginning)[2]


def decoded_head(beginning: bytes) -> Record:
    """The record without attributes.

    Raises:
        Unreadable: it is damaged, or none of ours.
    """
    checksum, _, length, _ = _numbers(beginning)
    return _decoded_head(beginning[_LINE_BYTES : _LINE_BYTES + length], checksum, length)


def decoded(data: bytes) -> Record:
    """The record of a whole file.

    Raises:
        Unreadable: it is damaged, or none of ours.
    """
    head_checksum, checksum, head_length, length = _numbers(data)
    end = _LINE_BYTES + head_length
    record = _decoded_head(data[_LINE_BYTES:end], head_checksum, head_length)
    content = data[end + 1 : end + 1 + length]
    if len(content) != length or zlib.crc32(content) != checksum:
        raise Unreadable("the attributes are damaged")
    try:
        contexts = content_of(_content.decode(content))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable("the attributes are no JSON") from error
    if isinstance(record, Session):
        return replace(record, contexts=contexts)
    if record.grace is not None:
        return replace(record, grace=replace(record.grace, contexts=contexts))
    return record


def due_of(record: Record) -> Due:
    if isinstance(record, Tombstone):
        kind = Kind.TOMBSTONE if record.grace_until is None else Kind.GRACE
        return Due(kind, record.invalidated)
    if record.renew_of is not None:
        return Due(Kind.COPY, min(record.last_saved, record.accessed))
    if record.expiry is None:
        return Due(Kind.ENDLESS, record.accessed)
    return Due(Kind.SESSION, record.expiry)


def time_of(due: Due) -> int:
    """The time of modification of a file, in nanoseconds."""
    return min(max(due.at, 0), _MS_MAX) * _NS_IN_MS + due.kind * _KIND_NS


def due_by(time_ns: int) -> Due:
    """What `time_of` was made of; of kind UNKNOWN where somebody else set the time."""
    at, rest = divmod(time_ns, _NS_IN_MS)
    kind, rest = divmod(rest, _KIND_NS)
    if rest or kind not in _KINDS:
        return Due(Kind.UNKNOWN, at)
    return Due(Kind(kind), at)


_KINDS: Final = frozenset(Kind)


def _numbers(beginning: bytes) -> tuple[int, int, int, int]:
    match = _LINE.match(beginning)
    if match is None:
        raise Unreadable("it does not begin as a session of Moorline's does")
    first, second, third, fourth = (int(digits, 16) for digits in match.groups())
    return first, second, third, fourth


def _decoded_head(head: bytes, checksum: int, length: int) -> Record:
    if len(head) != length or zlib.crc32(head) != checksum:
        raise Unreadable("the head is damaged")
    try:
        return _head.decode(head).record
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"the head is not understood ({error})") from error
