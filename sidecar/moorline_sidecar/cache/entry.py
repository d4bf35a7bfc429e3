"""What the L1 holds of one session.

None of it is tracked by the garbage collector: a full collection of 100,000 sessions would stop the
process for a quarter of a second. Where there are cycles, who takes an entry out of the L1 breaks
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from moorline_sidecar.domain.changes import content_size
from moorline_sidecar.domain.merging import Asked
from moorline_sidecar.domain.session import Record, Session, Tombstone
from moorline_sidecar.hot import Answer, Times

ENTRY_BYTES: Final = 1_600
"""What an entry takes besides its content: record, times, the frame of its answer, its places in
dictionaries; measured with 10,000."""

CONTEXT_BYTES: Final = 600
"""What each context takes besides its text, after the first one: mostly another answer's frame."""


class Entry(Struct, eq=False, gc=False):
    """A record, and what this worker knows of it.

    `record` is what is served: `stored` with the changes that are `unsaved`, in the save modes that
    have such, or being saved just now (`sending`). `confirmed_at` is the monotonic millisecond at
    which the store surely held `stored` as its newest; `floor` is the lowest version that is
    acceptable, by what the change stream has told until `floor_at`. `answer` is the newest of its
    encoded answers, all of which are dropped with every new record. `before` and `after` are its
    neighbours in a queue of the L1.
    An entry with unsaved changes must not be evicted.
    """

    stored: Record
    times: Times
    confirmed_at: int
    key: str = ""
    record: Record = None  # type: ignore[assignment] # until `__post_init__`
    answer: Answer | None = None
    size: int = 0
    floor: int = 0
    floor_at: int = 0
    contended_until: int = 0
    cookie_set: int = 0
    is_in_main: bool = False
    is_over_locally: bool = False
    before: Entry | None = None
    after: Entry | None = None
    # No lists: nearly all entries have neither.
    unsaved: Sequence[Asked] = ()
    sending: Sequence[Asked] = ()
    unsaved_bytes: int = 0
    unsaved_count: int = 0
    unsaved_since: int = 0

    def __post_init__(self) -> None:
        self.key = self.stored.key
        self.times.used_at = self.confirmed_at
        self.times.frequency = 0
        self.hold(self.stored, self.stored)

    def hold(self, stored: Record, record: Record) -> None:
        """Take a new record; not after a tombstone, which is final."""
        self.stored = stored
        self.record = record
        self.forget_answers()
        if isinstance(record, Session):
            self.cookie_set = max(self.cookie_set, record.cookie_set)
        self.size = ENTRY_BYTES + _weight(record)
        if record is not stored:
            self.size += _weight(stored)

    def answer_of(self, context: str) -> Answer | None:
        """The answer that has been encoded for a context."""
        answer = self.answer
        while answer is not None and answer.context != context:
            answer = answer.other
        return answer

    def keep(self, answer: Answer) -> None:
        """Answer with it, in its context, until there is another record."""
        answer.other = self.answer
        self.answer = answer

    def forget_answers(self) -> None:
        """Encode them again when they are asked for."""
        answer, self.answer = self.answer, None
        while answer is not None:
            answer.unname()
            # Not each with the next one: a session may have thousands of contexts.
            answer.other, answer = None, answer.other

    def unname(self) -> None:
        """Let nobody find an answer without looking at this entry."""
        answer = self.answer
        while answer is not None:
            answer.unname()
            answer = answer.other

    def confirm(self, asked_at: int) -> None:
        """The store showed, to a question of then, that it holds no other version than `stored`."""
        self.confirmed_at = max(self.confirmed_at, asked_at)
        if asked_at > self.floor_at:
            # The store has the last word, also where it was set back to a backup.
            self.floor = 0

    def outdate(self, floor: int, heard_at: int) -> None:
        """The store has held at least version `floor` when this was heard."""
        if floor >= self.floor and floor > self.stored.version:
            self.floor = floor
            # Also where it is told again: what was asked in between proves nothing.
            self.floor_at = max(self.floor_at, heard_at)
            self.unname()

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


def _weight(record: Record) -> int:
    session = record if isinstance(record, Session) else record.grace
    if session is None:
        return 0
    more_contexts = max(0, len(session.contexts) - 1)
    return content_size(session.contexts) + CONTEXT_BYTES * more_contexts
