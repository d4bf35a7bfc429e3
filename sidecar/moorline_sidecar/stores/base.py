"""The port between sessions and the servers that keep them.

A store keeps one record per key, a `Session` or a `Tombstone`, and promises:

- Every write is conditional and atomic for its key. Nothing but `insert` creates a record, so a
  late write finds nothing and creates nothing; nothing turns a tombstone into a session again.
- An acknowledged write is durable, and every later read of any client sees it.
- Writes given together are applied independently: one key's failure never fails its neighbours.
- Errors of drivers are translated here: `StoreUnavailable` (surely nothing applied),
  `OutcomeUnknown` (perhaps applied, all of them or some), `AlreadyExists`. Every call ends within
  the store's own time-out; none retries a write by itself.
- Times are milliseconds since 1970 by the store's clock, where it has one.

`memory.py` is the reference, `tests/contract` the suite that every store passes.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol, TypeAlias

from msgspec import Struct

from moorline_sidecar.domain.session import Mark, Reason, Record, Session
from moorline_sidecar.errors import StreamUnsupported
from moorline_sidecar.stores.registry import Registry

CALL_SECONDS: Final = 2.5
"""For a call, all in all: its answer is due after 3 s."""

PURGE_SECONDS: Final = 30.0
"""For one batch of a purge, and for counting what it would delete: nobody waits for the answer."""

BATCH: Final = 1_000
"""Records that a query answers when it is not told how many."""


class Change(Struct, frozen=True, kw_only=True):
    """Replace `before` by `after` if the store still holds the version of `before`.

    It is that of the same life where `before` has a `write_id`, which the store's has to be, too.
    `after.version` is `before.version + 1`. Only what differs is written, attribute by attribute;
    `accessed` and `expiry` never go back (`expiry` is set as it is when `max_idle_ms` changes).
    A copy is settled by it, and by a touch: whoever writes to it serves it.
    """

    before: Session
    after: Session

    @property
    def key(self) -> str:
        return self.after.key

    @property
    def write_id(self) -> str:
        return self.after.write_id


class AccessGuard(Struct, frozen=True):
    """The stored times that an expiry was decided by."""

    accessed: int
    expiry: int | None
    last_node: str


class End(Struct, frozen=True, kw_only=True):
    """Turn a session into a tombstone, if it is alive and every guard that is given holds.

    `content_id` is the `write_id` of `version`: a key that is purged and made anew counts from 1.
    The version grows by one. Content, principal and times are dropped, `created` and `accessed`
    apart; with `grace_until` everything stays readable as the tombstone's `grace`, until
    `drop_grace`.
    """

    key: str
    write_id: str
    now: int
    reason: Reason
    version: int | None = None
    content_id: str = ""
    access: AccessGuard | None = None
    renewed_to: str | None = None
    grace_until: int | None = None


Write: TypeAlias = Change | End


class Outcome(enum.Enum):
    """What became of a write."""

    APPLIED = enum.auto()
    """By this very write, known by its `write_id`."""
    CONFLICT = enum.auto()
    """The session lives, but a guard did not hold: reload."""
    ENDED = enum.auto()
    """It is a tombstone, by another write: stop."""
    ABSENT = enum.auto()
    """There is no record: stop."""
    TOO_LARGE = enum.auto()
    """The server does not take a record of that size."""
    REFUSED = enum.auto()
    """The server does not take it for a reason of its own (a validator, no space); not applied."""


class Touch(Struct, frozen=True, kw_only=True):
    """New times for a session that is alive, was not accessed later, and has this `max_idle_ms`."""

    key: str
    accessed: int
    last_accessed: int
    expiry: int | None
    max_idle_ms: int
    last_node: str
    now: int


class Expired(Struct, frozen=True, kw_only=True):
    """A live session whose stored expiry has passed, with the guard for its `End`."""

    key: str
    access: AccessGuard


class Copy(Struct, frozen=True, kw_only=True):
    """A copy made by a renew that has not been settled."""

    key: str
    origin: str
    version: int


class Summary(Struct, frozen=True, kw_only=True):
    """A live session as a listing shows it; with `renew_of` it is a copy that is not settled."""

    key: str
    created: int
    accessed: int
    expiry: int | None
    last_node: str
    renew_of: str | None = None


class PurgeKind(enum.Enum):
    """Which records a purge deletes; `before` is compared as told."""

    INVALID = enum.auto()
    """Tombstones with `invalidated` before it."""
    VALID = enum.auto()
    """Sessions with `accessed` before it, and an expiry that is null or passed at `now`."""


class Purge(Struct, frozen=True, kw_only=True):
    """What one pass of a purge is to delete."""

    kind: PurgeKind
    before: int
    now: int


class Seen(Struct, frozen=True, kw_only=True):
    """A change or an end, as a stream tells of it; creations and new times are not told.

    `version` is None where the record is gone, or its version is not told. `reason` is that of an
    end, where it is told. `at` is when it happened, in the store's milliseconds.
    """

    key: str
    version: int | None
    is_valid: bool = True
    reason: Reason | None = None
    at: int | None = None


class Heard(Struct, frozen=True, kw_only=True):
    """One reply of a stream; without anything `seen` it is a sign of life.

    `token` is where a later stream goes on. All that was acknowledged before `complete_until`, a
    moment that `receive` was given, is in this reply or in one before it; None: nothing new is
    known of that.
    """

    seen: Sequence[Seen]
    token: object
    complete_until: int | None


class Stream(Protocol):
    """Tells of every change and end, by whomever, in order for each key; perhaps repeatedly."""

    async def receive(self, asked_at: int) -> Heard:
        """The next reply, within the store's time-out; an empty one after about half a second.

        `asked_at` is now by the caller's monotonic clock.

        Raises:
            HistoryLost: there are changes that will not be told.
            StoreUnavailable: the stream is broken; another may go on from the last token.
        """


class SessionStore(Protocol):
    """Where sessions are kept; see the module for what every store promises."""

    async def load(self, keys: Sequence[str]) -> dict[str, Record]:
        """The records that exist among `keys`, as last acknowledged."""

    async def confirm(self, keys: Sequence[str]) -> dict[str, Mark]:
        """The marks of those that exist among `keys`: `load` without content."""

    async def insert(self, session: Session) -> None:
        """Store a new session.

        Raises:
            AlreadyExists: any record has the key.
            TooLarge: the server does not take a record of that size.
        """

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        """What became of each write, in order; no two of them have the same key."""

    async def touch(self, touches: Sequence[Touch]) -> None:
        """Write times where their conditions hold; what they do not hold for is left alone."""

    async def settle(self, key: str, origin: str) -> bool:
        """Make the copy of `origin` under `key` a session of its own; false if it is none."""

    async def discard(self, key: str, origin: str, version: int) -> bool:
        """Delete the copy of `origin` under `key` if it has this version; false if it is none."""

    async def expired(self, before: int, limit: int) -> list[Expired]:
        """Sessions with a stored expiry before it, oldest first, up to `limit`; no copies.

        0: a batch of the store's choice.
        """

    async def copies(self, created_before: int, limit: int) -> list[Copy]:
        """Up to `limit` unsettled copies last saved before it."""

    async def drop_grace(self, before: int, limit: int) -> int:
        """Remove what tombstones with `grace_until` before it kept; how many, at most `limit`."""

    async def by_principal(self, principal: str, after: str | None, limit: int) -> list[Summary]:
        """Up to `limit` sessions of `principal` with a key above `after`, by key; copies too."""

    async def purge(self, purge: Purge, limit: int) -> int:
        """Delete up to `limit` records; how many were deleted. 0: none is left.

        `limit` 0: a batch of the store's choice, which may be a large one.
        """

    async def purgeable(self, purge: Purge, limit: int) -> int:
        """How many records a purge would delete, counted up to `limit` (0: all)."""

    def watch(self, after: object = None) -> AbstractAsyncContextManager[Stream]:
        """A stream of what is acknowledged from now on, or since the token `after`.

        A store that cannot tell lacks this verb, as here.

        Raises, when entered:
            StreamUnsupported: the server does not tell of changes.
            HistoryLost: not from that token.
            StoreUnavailable: it is out of reach.
        """
        del after
        raise StreamUnsupported(f"{type(self).__name__} has no streams")

    def registry(self) -> Registry | None:
        """Who serves from this store; None where it does not keep that."""
        return None

    async def count(self) -> int:
        """About how many records there are, tombstones included."""

    async def now(self) -> int:
        """The store's time; also the cheapest proof that it is in reach."""

    async def prepare(self) -> list[str]:
        """Make what the store needs (indexes, schema), idempotently; the names of what is there."""

    async def server(self) -> str:
        """Product and version of the server, for people."""

    async def close(self) -> None:
        """Release everything; the store is of no use afterwards."""
