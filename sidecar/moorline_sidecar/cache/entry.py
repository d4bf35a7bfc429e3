"""What the L1 holds of one session."""

from __future__ import annotations

from typing import Any, Final

from moorline_sidecar.domain.changes import content_size
from moorline_sidecar.domain.merging import Asked
from moorline_sidecar.domain.policies import Times
from moorline_sidecar.domain.session import Record, Session, Tombstone

ENTRY_BYTES: Final = 1_500
"""What an entry takes besides its attributes: record, times, dictionaries; measured with 10,000."""

OBJECT_FACTOR: Final = 2
"""Attributes are held as objects and, once served, as their JSON too."""


class Entry:
    """A record, and what this worker knows of it.

    `record` is what is served: `stored` with the changes that are `unsaved`, in the save modes that
    have such, or being saved just now (`sending`). `confirmed_at` is the monotonic millisecond at
    which the store surely held `stored` as its newest; `floor` is the lowest version that is
    acceptable, by what the change stream has told until `floor_at`. `bodies` are the encoded
    answers by context, dropped with every new record. `name` is what the L1 finds it by beside its
    key, empty where nobody has asked so.
    An entry with unsaved changes must not be evicted.
    """

    __slots__ = (
        "bodies",
        "confirmed_at",
        "contended_until",
        "cookie_set",
        "floor",
        "floor_at",
        "frequency",
        "is_in_main",
        "is_over_locally",
        "key",
        "name",
        "record",
        "sending",
        "size",
        "stored",
        "times",
        "unsaved",
        "unsaved_bytes",
        "unsaved_count",
        "unsaved_since",
        "used_at",
    )

    def __init__(self, stored: Record, times: Times, confirmed_at: int) -> None:
        self.key = stored.key
        self.times = times
        self.confirmed_at = confirmed_at
        self.contended_until = 0
        self.cookie_set = 0
        self.floor = 0
        self.floor_at = 0
        self.frequency = 0
        self.is_in_main = False
        self.is_over_locally = False
        self.name = b""
        self.unsaved: list[Asked] = []
        self.sending: list[Asked] = []
        self.unsaved_bytes = 0
        self.unsaved_count = 0
        self.unsaved_since = 0
        self.used_at = confirmed_at
        self.hold(stored, stored)

    def hold(self, stored: Record, record: Record) -> None:
        """Take a new record; not after a tombstone, which is final."""
        self.stored = stored
        self.record = record
        self.bodies: dict[str, Any] = {}
        if isinstance(record, Session):
            self.cookie_set = max(self.cookie_set, record.cookie_set)
        self.size = ENTRY_BYTES + OBJECT_FACTOR * _content(record)

    def confirm(self, asked_at: int) -> None:
        """The store showed, to a question of then, that it holds no other version than `stored`."""
        self.confirmed_at = max(self.confirmed_at, asked_at)
        if asked_at > self.floor_at:
            # The store has the last word, also where it was set back to a backup.
            self.floor = 0

    def outdate(self, floor: int, heard_at: int) -> None:
        """The store has held at least version `floor` when this was heard."""
        if floor > max(self.floor, self.stored.version):
            self.floor = floor
            self.floor_at = max(self.floor_at, heard_at)

    @property
    def is_outdated(self) -> bool:
        return self.stored.version < self.floor

    @property
    def promised(self) -> list[Asked]:
        """All changes that are served and not surely stored, in order."""
        return [*self.sending, *self.unsaved]

    @property
    def is_evictable(self) -> bool:
        return not self.unsaved and not self.sending


def detached(record: Session) -> Entry:
    """An entry that is only answered with: `record` as it was at one moment."""
    return Entry(record, times_of(record), 0)


def times_of(record: Record) -> Times:
    """The times of a record that this worker has just learned."""
    if isinstance(record, Tombstone):
        return Times(record.accessed, None, record.accessed, None, "", None, 0)
    return Times(
        own_accessed=record.accessed,
        own_expiry=record.expiry,
        stored_accessed=record.accessed,
        stored_expiry=record.expiry,
        stored_node=record.last_node,
        deadline=record.deadline,
        max_idle_ms=record.max_idle_ms,
        own_last_accessed=record.last_accessed,
    )


def _content(record: Record) -> int:
    if isinstance(record, Session):
        return content_size(record.contexts)
    return content_size(record.grace.contexts) if record.grace else 0
