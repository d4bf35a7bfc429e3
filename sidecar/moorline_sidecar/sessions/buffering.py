"""`onOutage: Buffer`: changes that are made while the store is away, and their way to it.

They are served from the L1 and wait there as unsaved ones; `replaying` brings them to the store.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from msgspec import structs

from moorline_sidecar.cache.entry import Entry
from moorline_sidecar.domain.merging import Asked, rebased
from moorline_sidecar.domain.session import Reason, Session, Tombstone
from moorline_sidecar.errors import (
    OutcomeUnknown,
    Overloaded,
    StoreError,
    StoreRefused,
    StoreUnavailable,
)
from moorline_sidecar.sessions.core import Core, changed_session, live_session
from moorline_sidecar.sessions.deferring import Deferring
from moorline_sidecar.sessions.ending import Ending, new_write_id
from moorline_sidecar.sessions.finding import Finding
from moorline_sidecar.sessions.journal import Changed, Created, Ended, Kept
from moorline_sidecar.sessions.lanes import Lanes
from moorline_sidecar.sessions.replaying import begin_kept
from moorline_sidecar.sessions.writing import Job
from moorline_sidecar.stores.base import End

T = TypeVar("T")


class Buffering:
    """Keeps changes through an outage, where the policy says so and there is an L1."""

    def __init__(
        self,
        core: Core,
        lanes: Lanes[Job],
        finding: Finding,
        ending: Ending,
        deferring: Deferring,
    ) -> None:
        self._core = core
        self._lanes = lanes
        self._finding = finding
        self._ending = ending
        self._deferring = deferring

    def takes(self, asked: Asked) -> bool:
        """Whether this change may be kept while the store is away."""
        return self._core.buffers and asked.can_be_kept

    async def attempt(
        self,
        attempt: Callable[[], Awaitable[T]],
        keep: Callable[[], Awaitable[T]],
        *,
        may_keep: bool,
        may_repeat: bool = False,
    ) -> T:
        """What an attempt at the store returns; where that is away, and it may, what keeping does.

        `may_repeat`: doing it twice does no harm, so an unknown outcome is none.
        """
        if may_keep and self._core.availability.is_down:
            return await keep()
        try:
            return await attempt()
        except StoreError as error:
            is_open = isinstance(error, OutcomeUnknown)
            is_refused = isinstance(error, StoreRefused)
            if not may_keep or is_refused or (is_open and not may_repeat):
                raise
            try:
                return await keep()
            except (StoreUnavailable, Overloaded):
                if is_open:
                    raise error from None
                raise

    async def store_created(self, key: str) -> None:
        """Have the store know a session before it is asked about it, if it was created here."""
        if key in self._core.journal.creates and not self._core.availability.is_down:
            with contextlib.suppress(StoreError):
                await self._deferring.save(key)

    async def newest(self, key: str) -> Entry:
        """The entry as the store holds it now; in an outage, if changes are kept then, the copy.

        Raises:
            SessionUnknown, StoreUnavailable.
        """
        await self.store_created(key)
        try:
            return await self._finding.fetch(key)
        except StoreUnavailable:
            entry = self._core.l1.peek(key)
            if entry is None or not self._core.buffers or not self._core.availability.is_down:
                raise
            return entry

    async def change(self, found: Entry, asked: Asked) -> Entry:
        """The entry of a session that was found alive, with the change, which is kept.

        Raises:
            Refusal: nothing was changed.
        """
        core, key = self._core, found.key
        async with self._lanes.hold(key):
            entry = core.l1.peek(key) or found
            if changed_session(entry, asked, core.policy.max_session_bytes) is None:
                return entry
            self._check_room(entry, asked.patch.size)
            asked = structs.replace(asked, serial=core.journal.next_serial())
            await self._keep(entry, [asked])
            return core.l1.peek(key) or entry

    async def keep_doubtful(self, entry: Entry, doubtful: Sequence[Asked]) -> None:
        """Keep changes that were sent, and are in the store perhaps; the caller holds the lane.

        Raises:
            Overloaded: there is no room.
        """
        self._check_room(entry, sum(asked.patch.size for asked in doubtful))
        await self._keep(entry, doubtful)

    async def save(self, key: str) -> None:
        """Save what waits by the save mode, or keep it as what is changed in the outage.

        Raises:
            As `Deferring.save`; Overloaded: there is no room.
        """
        await self.attempt(
            lambda: self._deferring.save(key),
            lambda: self._keep_waiting(key),
            may_keep=self._core.buffers,
        )

    async def _keep_waiting(self, key: str) -> None:
        async with self._lanes.hold(key):
            entry = self._core.l1.peek(key)
            if entry is not None and isinstance(entry.stored, Session):
                await self._keep_pending(entry)

    async def create(self, session: Session) -> Entry:
        """The entry of a new session that is to be stored later.

        Raises:
            Overloaded: there is no room.
        """
        core = self._core
        self._check_room(None, 0)
        async with self._keeping(Created(session)):
            core.journal.creates[session.key] = session
        self._finding.appeared(session.key)
        return begin_kept(core, session)

    async def end_stored(self, key: str, reason: Reason) -> bool:
        """As `Ending.end_with_successors`, also for what was created here in an outage.

        Raises:
            StoreUnavailable: that could not be stored yet; it must not count as absent.
        """
        await self.store_created(key)
        if key in self._core.journal.creates:
            raise StoreUnavailable
        return await self._ending.end_with_successors(key, reason, self._lanes)

    async def end(self, key: str, reason: Reason) -> bool:
        """End a session that this worker knows; whether this call ended it.

        Raises:
            StoreUnavailable: it is not known here.
        """
        has_ended = False
        next_key: str | None = key
        while next_key is not None:
            async with self._lanes.hold(next_key):
                entry = self._core.l1.peek(next_key)
                if entry is None and next_key == key:
                    raise StoreUnavailable
                if entry is None or isinstance(entry.record, Session):
                    # What a session was renewed to is there, known here or not.
                    await self._end(next_key, entry, reason)
                    has_ended = True
                record = None if entry is None else entry.record
                next_key = record.renewed_to if isinstance(record, Tombstone) else None
        return has_ended

    async def _keep(self, entry: Entry, asked: Sequence[Asked]) -> None:
        core, key = self._core, entry.key
        # The change stream may have told of its end while the answer to a write was waited for.
        live_session(entry)
        # It comes first, also for the process that finds the file.
        await self._keep_pending(entry)
        for ask in asked:
            kept = Changed(key, entry.stored.version, ask, core.clock.now())
            async with self._keeping(kept):
                current = core.l1.peek(key) or entry
                # Meanwhile the store may have come back, and shown that the session has ended.
                live_session(current)
                assert isinstance(current.stored, Session)  # noqa: S101 alive
                core.defer(current, ask, rebased(current.stored, [*current.promised, ask]))
                core.journal.keys.setdefault(key, current.stored)
            core.counters.kept_changes += 1

    async def _keep_pending(self, entry: Entry) -> None:
        core, key = self._core, entry.key
        if not core.journal.has_file:
            return
        for ask in [ask for ask in entry.unsaved if ask.serial is None and not ask.patch.is_empty]:
            stored = entry.stored
            if not isinstance(stored, Session):
                return
            kept = structs.replace(ask, serial=core.journal.next_serial())
            async with self._keeping(Changed(key, stored.version, kept, core.clock.now())):
                if any(other is ask for other in entry.unsaved):
                    entry.unsaved = [kept if other is ask else other for other in entry.unsaved]
                    core.journal.keys.setdefault(key, stored)

    async def _end(self, key: str, entry: Entry | None, reason: Reason) -> None:
        core = self._core
        end = End(key=key, write_id=new_write_id(), now=core.clock.now(), reason=reason)
        async with self._keeping(Ended(key, end.write_id, end.now, reason)):
            core.journal.ends[key] = end
            core.journal.keys.pop(key, None)
        if entry is not None:
            # Nothing is lost to who ends it.
            entry.unsaved_count = 0
        self._ending.bury(end)

    def _keeping(self, kept: Kept) -> AbstractAsyncContextManager[None]:
        core = self._core
        return core.journal.keeping(kept, core.policy.cache_bytes, core.counters)

    def _check_room(self, entry: Entry | None, size: int) -> None:
        """Unsaved entries cannot be evicted: they may take half of the L1.

        Raises:
            Overloaded: they do.
        """
        core = self._core
        is_another = entry is None or entry.is_evictable
        if (
            core.unsaved_bytes + size > core.policy.unsaved_bytes_max
            or len(core.journal.ends) >= core.policy.cache_sessions
            or (is_another and len(core.unsaved) >= max(1, core.policy.cache_sessions // 2))
            or (is_another and core.l1.is_over)
        ):
            core.counters.journal_refusals += 1
            raise Overloaded
