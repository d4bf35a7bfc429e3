"""Sessions that end: by logout, by age, by a limit, by an administrator."""

from __future__ import annotations

import secrets
from typing import Any, Final

from msgspec import Struct

from moorline_sidecar.cache.entry import Entry
from moorline_sidecar.domain.ids import Hint
from moorline_sidecar.domain.session import Reason, Session, Tombstone
from moorline_sidecar.errors import (
    Overloaded,
    SessionEnded,
    SessionUnknown,
    StoreError,
    StoreUnavailable,
)
from moorline_sidecar.sessions.certainty import write_surely
from moorline_sidecar.sessions.core import Core
from moorline_sidecar.sessions.finding import Finding
from moorline_sidecar.sessions.lanes import Lanes
from moorline_sidecar.stores.base import AccessGuard, End, Outcome

CHAIN_MAX: Final = 32
"""Renews that are followed from an old id; no browser has more under way within a grace."""

DECISIONS_MAX: Final = 5
"""How often an expiry is decided again because somebody accessed the session meanwhile."""


class Ended(Struct, frozen=True, kw_only=True):
    """How a session came to its end; `renewed_to` is the key under which it goes on, if it does."""

    is_by_this_call: bool
    renewed_to: str | None


def new_write_id() -> str:
    """A name for one write: 96 random bits, unique enough within one session."""
    return secrets.token_urlsafe(12)


class Ending:
    """Turns sessions into tombstones, here and in the store. Callers hold the lane of the key."""

    def __init__(self, core: Core, finding: Finding) -> None:
        self._core = core
        self._finding = finding

    async def end(self, key: str, reason: Reason) -> Ended:
        """End a session, whatever happens to it at the same time.

        Raises:
            SessionUnknown: there is no record.
        """
        end = self._end(key, reason)
        outcome = await write_surely(self._core, end)
        if outcome is Outcome.APPLIED:
            self.bury(end)
            return Ended(is_by_this_call=True, renewed_to=None)
        if outcome is not Outcome.ENDED:
            self._core.forget(key)
            raise SessionUnknown
        # Why it ended is for the store to say.
        record = (await self._finding.fetch(key)).record
        renewed_to = record.renewed_to if isinstance(record, Tombstone) else None
        return Ended(is_by_this_call=False, renewed_to=renewed_to)

    async def end_with_successors(self, key: str, reason: Reason, lanes: Lanes[Any]) -> bool:
        """End a session and what it was renewed to; whether this call ended anything.

        Raises:
            SessionUnknown: there was never such a session, or it was purged.
        """
        if self._is_over_for_all(key):
            return False
        self._core.availability.check()
        has_ended = False
        next_key: str | None = key
        while next_key is not None:
            async with lanes.hold(next_key):
                try:
                    ended = await self.end(next_key, reason)
                except SessionUnknown:
                    if next_key == key:
                        raise
                    break
            has_ended |= ended.is_by_this_call
            next_key = ended.renewed_to
        return has_ended

    def _is_over_for_all(self, key: str) -> bool:
        """Whether this worker holds its end, with nothing to be ended after it, nor to be asked.

        The store knows nothing of what ended as version 0, and may be away.
        """
        entry = self._core.l1.peek(key)
        record = None if entry is None else entry.record
        if not isinstance(record, Tombstone) or record.renewed_to is not None:
            return False
        return self._core.availability.is_down or record.version == 0

    def bury(self, end: End) -> None:
        """Hold the tombstone that this write makes."""
        self._count(self._core.l1.peek(end.key))
        self._core.bury(self._tombstone(end))

    async def expire(self, entry: Entry, hint: Hint | None) -> Entry:
        """End an entry's session that this worker calls expired; the live entry if it is not.

        Raises:
            SessionEnded: it has expired. While the store is away this worker's word holds.
            StoreUnavailable: the store, which is there, could not be asked in time.
        """
        for _ in range(DECISIONS_MAX):
            if not isinstance(entry.record, Session) or not self._core.is_over(entry, hint):
                return entry
            if self._core.availability.is_quiet and not self._is_past_deadline(entry):
                # Said so in the outage: it is not taken back, but not written before the others
                # could write their accesses.
                raise SessionEnded(Reason.EXPIRED)
            try:
                outcome = await self._expire_once(entry)
                fresh = await self._finding.fetch(entry.key)
            except StoreError as error:
                if not self._core.availability.is_down and not self._is_past_deadline(entry):
                    # The store is slow, and knows of accesses that this worker has not heard of.
                    raise StoreUnavailable(str(error)) from error
                entry.is_over_locally = True
                raise SessionEnded(Reason.EXPIRED) from None
            if outcome is Outcome.APPLIED:
                self._core.counters.expired += 1
                self._count(entry)
            entry = fresh
        raise Overloaded

    async def last_successor(self, tombstone: Tombstone) -> Entry | None:
        """What a renewed session became, through all renews since; None if that cannot be found."""
        entries = await self._follow(tombstone.renewed_to)
        return entries[-1] if entries else None

    async def chain(self, key: str) -> set[str]:
        """The key, and those of all renews since."""
        return {key, *(entry.key for entry in await self._follow(key))}

    async def _follow(self, key: str | None) -> list[Entry]:
        entries: list[Entry] = []
        while key is not None and len(entries) < CHAIN_MAX:
            try:
                entry = await self._newest(key)
            except SessionUnknown:
                break
            entries.append(entry)
            key = entry.record.renewed_to if isinstance(entry.record, Tombstone) else None
        return entries

    async def _newest(self, key: str) -> Entry:
        """What the store holds; while it is away, what the L1 does."""
        try:
            return await self._finding.fetch(key)
        except StoreUnavailable:
            return (await self._finding.find(key, None))[0]

    async def _expire_once(self, entry: Entry) -> Outcome:
        times = entry.times
        guard = AccessGuard(times.stored_accessed, times.stored_expiry, times.stored_node)
        end = self._end(entry.key, Reason.EXPIRED, None if self._is_past_deadline(entry) else guard)
        return await write_surely(self._core, end)

    def _end(self, key: str, reason: Reason, access: AccessGuard | None = None) -> End:
        return End(
            key=key,
            write_id=new_write_id(),
            now=self._core.clock.now(),
            reason=reason,
            access=access,
        )

    def _tombstone(self, end: End) -> Tombstone:
        entry = self._core.l1.peek(end.key)
        known = entry.stored if entry else None
        return Tombstone(
            key=end.key,
            # The change stream may have told of this very end already.
            version=known.version + isinstance(known, Session) if known else 1,
            created=known.created if known else 0,
            accessed=known.accessed if known else 0,
            invalidated=end.now,
            reason=end.reason,
            write_id=end.write_id,
        )

    def _is_past_deadline(self, entry: Entry) -> bool:
        deadline = entry.times.deadline
        return deadline is not None and deadline <= self._core.clock.now()

    def _count(self, entry: Entry | None) -> None:
        self._core.counters.ended += 1
        if entry is not None:
            self._core.counters.count_end(self._core.clock.now() - entry.record.created)
