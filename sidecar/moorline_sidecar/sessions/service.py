"""The sessions of a worker: what the listeners call.

A read that the L1 may answer is answered at once, without anything awaited; everything else is an
awaitable.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Self

from moorline_api import Eviction, SaveMode
from msgspec import UNSET, structs

from moorline_sidecar.cache.entry import Entry, detached
from moorline_sidecar.domain.ids import Hint, hashed_key, plain_key
from moorline_sidecar.domain.merging import Asked
from moorline_sidecar.domain.policies import Policy, grace_session
from moorline_sidecar.domain.session import Reason, Session, Tombstone
from moorline_sidecar.errors import (
    OutcomeUnknown,
    SessionEnded,
    SessionExists,
    ShuttingDown,
)
from moorline_sidecar.sessions.buffering import Buffering
from moorline_sidecar.sessions.clock import Clock, StoreClock
from moorline_sidecar.sessions.core import Core, live_session
from moorline_sidecar.sessions.creating import Creating, Repeat
from moorline_sidecar.sessions.deferring import Deferring
from moorline_sidecar.sessions.ending import Ending
from moorline_sidecar.sessions.finding import Finding, Source
from moorline_sidecar.sessions.housekeeping import Housekeeping
from moorline_sidecar.sessions.journal import Journal
from moorline_sidecar.sessions.lanes import Lanes
from moorline_sidecar.sessions.life import Life
from moorline_sidecar.sessions.principals import Principals
from moorline_sidecar.sessions.renewing import Renewal, Renewing, successor_id
from moorline_sidecar.sessions.replaying import Replaying
from moorline_sidecar.sessions.served import Served, alive, resolved
from moorline_sidecar.sessions.touching import Touching
from moorline_sidecar.sessions.watching import Watching
from moorline_sidecar.sessions.writing import Job, Writing
from moorline_sidecar.stores.base import SessionStore

__all__ = ("Served", "Sessions")


class Sessions:
    """The use cases; an async context manager that runs the work in the background."""

    def __init__(
        self,
        store: SessionStore,
        policy: Policy,
        clock: Clock | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.core = core = Core(store, policy, clock or StoreClock(), journal)
        self.key_of = hashed_key if policy.hashed_ids else plain_key
        lanes: Lanes[Job] = Lanes()
        self._lanes = lanes
        self._finding = Finding(core)
        self._ending = Ending(core, self._finding)
        self.touching = Touching(core)
        self._writing = Writing(core, lanes, self._finding, self._ending)
        self._deferring = Deferring(core, self._writing)
        self._buffering = Buffering(core, lanes, self._finding, self._ending, self._deferring)
        self._replaying = Replaying(core, self._ending, self._deferring)
        self._writing.keep_doubtful = self._buffering.keep_doubtful
        self.principals = Principals(core, lanes, self._finding, self._ending)
        self._creating = Creating(core, self._finding, self._ending, self.principals)
        self._renewing = Renewing(
            core, lanes, self._finding, self._ending, self._writing, self.key_of
        )
        self.housekeeping = Housekeeping(core, lanes, self._ending, self._deferring)
        self._life = Life(
            core,
            lanes,
            self._ending,
            self.touching,
            self._deferring,
            self.housekeeping,
            self._replaying,
            besides=[Watching(core).keep_watching, self._replaying.keep_replaying],
        )

    @property
    def policy(self) -> Policy:
        """The one that decides now."""
        return self.core.policy

    def follow(self, policy: Policy) -> None:
        """Decide by another policy from now on; what is not `reloadable` must be as it was."""
        self.core.follow(policy)
        self._life.warn_of_what_is_missing()

    # Reading

    def read(
        self, key: str, hint: Hint | None, *, is_access: bool = True
    ) -> Served | Awaitable[Served]:
        """The live session, accessed unless it is only peeked at.

        Raises, here or when awaited:
            SessionUnknown, SessionEnded: there is none (any more).
            StoreUnavailable: the store had to be asked, and is away.
        """
        entry = self._finding.held(key, hint)
        if (
            entry is None
            or isinstance(entry.record, Tombstone)
            or self.core.is_over(entry, hint)
            or self.core.policy.evict is Eviction.AFTER_REQUEST
        ):
            return self._read(key, hint, is_access=is_access)
        self.core.counters.hits += 1
        if is_access and self.touching.access(entry):
            return self._touched(entry, Source.HIT)
        return Served(entry, Source.HIT)

    async def _read(self, key: str, hint: Hint | None, *, is_access: bool) -> Served:
        unborn = self._creating.unborn(key)
        if unborn is not None and not await self._creating.has_been_stored(key):
            if is_access:
                self._creating.access(unborn)
            return Served(unborn, Source.BYPASS)
        await self._buffering.store_created(key)
        entry, source = await self._finding.find(key, hint)
        self._count(source)
        entry = await self._live(entry, hint)
        if isinstance(entry.record, Tombstone):
            return await self._in_grace(entry.record)
        if is_access:
            return await self._touched(entry, source, is_urgent=self.touching.access(entry))
        return Served(entry, source)

    async def _touched(self, entry: Entry, source: Source, *, is_urgent: bool = True) -> Served:
        if is_urgent and not await self.touching.write_now(entry):
            return await self._read(entry.key, None, is_access=False)
        await self._evict_after_request(entry)
        return alive(Served(entry, source))

    async def _live(self, entry: Entry, hint: Hint | None) -> Entry:
        """The entry, which is not expired; a tombstone as it is."""
        if isinstance(entry.record, Tombstone) or not self.core.is_over(entry, hint):
            return entry
        async with self._lanes.hold(entry.key):
            return await self._ending.expire(entry, hint)

    async def _in_grace(self, tombstone: Tombstone) -> Served:
        """What a read with a renewed id is shown, while the new session lives."""
        session = grace_session(tombstone, self.core.clock.now())
        if session is None:
            raise SessionEnded(tombstone.reason)
        successor = await self._ending.last_successor(tombstone)
        if (
            successor is None
            or isinstance(successor.record, Tombstone)
            or self.core.is_over(successor, None)
        ):
            raise SessionEnded(tombstone.reason)
        return Served(detached(session), Source.BYPASS, was_renewed=True)

    # Creating and changing

    async def create(
        self, session_id: str, asked: Asked, *, remembered: bool = True
    ) -> tuple[Served, str]:
        """A new session, and its id: that of the first call for a repeated idempotency key.

        Raises:
            SessionExists, SessionEnded: the id is taken.
            Refusal, StoreError: nothing was created, or that is unknown.
        """
        self._check_open()
        may_keep = remembered and self._buffering.takes(asked)
        if self._creating.is_stored_at_once(asked.patch) and not may_keep:
            self.core.check(self.key_of(session_id))
        key = asked.idempotency_key
        if key is None or not remembered:
            return await self._create(session_id, asked, may_keep=may_keep), session_id
        context = asked.patch.context
        repeat = self._creating.repeat_of(key, context, session_id)
        async with self._lanes.hold(self.key_of(repeat.session_id)):
            served = None if repeat.is_done else await self._create_repeat(repeat, asked)
        if served is None:
            served = await resolved(self.read(self.key_of(repeat.session_id), None))
        return served, repeat.session_id

    async def _create_repeat(self, repeat: Repeat, asked: Asked) -> Served | None:
        """The session that is created now; None if an earlier call has created it."""
        served: Served | None = None
        try:
            served = await self._create(
                repeat.session_id, asked, may_keep=self._buffering.takes(asked)
            )
        except SessionExists:
            pass
        except OutcomeUnknown:
            # The next call tries the same id, and finds out.
            repeat.is_in_doubt = True
            raise
        except BaseException:
            if not repeat.is_in_doubt:
                self._creating.forget_repeat(repeat)
            raise
        repeat.is_done = True
        return served

    async def _create(self, session_id: str, asked: Asked, *, may_keep: bool) -> Served:
        keep = self._buffering.create if may_keep else None
        entry = await self._creating.create(self.key_of(session_id), asked.patch, keep)
        return Served(entry, Source.BYPASS, is_new=True)

    async def change(
        self, key: str, asked: Asked, hint: Hint | None, *, may_wait: bool = True
    ) -> Served:
        """The session after the change; an empty one is an access.

        Raises:
            Refusal: nothing was changed.
            StoreUnavailable: surely not applied; OutcomeUnknown: perhaps applied.
        """
        self._check_open()
        if self._creating.unborn(key) is not None:
            return await self._change_unborn(key, asked)
        return await self._buffering.attempt(
            lambda: self._change_stored(key, asked, hint, may_wait=may_wait),
            lambda: self._change_kept(key, asked, hint),
            may_keep=self._buffering.takes(asked),
        )

    async def _change_kept(self, key: str, asked: Asked, hint: Hint | None) -> Served:
        found = await self._live_for_change(key, hint)
        if asked.patch.is_empty:
            return found
        entry = await self._buffering.change(found.entry, asked)
        return alive(Served(entry, Source.BYPASS, was_changed=True))

    async def _change_stored(
        self, key: str, asked: Asked, hint: Hint | None, *, may_wait: bool
    ) -> Served:
        if asked.patch.is_empty and asked.if_versions is None:
            return await self._live_for_change(key, hint)
        self.core.check(key)
        if may_wait and self._deferring.takes(asked):
            found = await self._live_for_change(key, hint)
            if self._renewing.is_under_way(key):
                async with self._lanes.hold(key):
                    pass
            entry = self._deferring.change(found.entry, asked)
            return Served(entry, Source.BYPASS, was_changed=True)
        return await self._change_through(key, asked, hint)

    async def complete(self, key: str, asked: Asked, hint: Hint | None) -> Served:
        """The session, with what was pending saved where the save mode says so."""
        if not asked.patch.is_empty or asked.if_versions is not None:
            may_wait = self.core.policy.effective_save_mode is not SaveMode.COMPLETE
            return await self.change(key, asked, hint, may_wait=may_wait)
        served = await resolved(self.read(key, hint))
        if key in self.core.unsaved and self.core.policy.save_mode is SaveMode.COMPLETE:
            await self._buffering.save(key)
            return alive(Served(self.core.l1.peek(key) or served.entry, served.source))
        return served

    async def renew(self, renewal: Renewal) -> tuple[Served, str]:
        """The session under its new id, and that id."""
        self._check_open()
        key = self.key_of(renewal.session_id)
        if self._creating.unborn(key) is not None:
            return await self._renew_unborn(key, renewal)
        new_id = successor_id(renewal)
        if self._creating.was_renewed(key, self.key_of(new_id)):
            return await resolved(self.read(self.key_of(new_id), None)), new_id
        self.core.check(key, successor=self.key_of(new_id))
        principal, policy = renewal.asked.patch.principal, self.core.policy
        if principal is not UNSET:
            known = {key, self.key_of(new_id)}
            await self.principals.refuse_above_limit(policy, principal, known)
        entry, new_id = await self._renewing.renew(structs.replace(renewal, new_id=new_id))
        if principal is not UNSET:
            await self.principals.end_oldest_above_limit(policy, entry)
        return alive(Served(await self._live(entry, None), Source.BYPASS)), new_id

    async def _renew_unborn(self, key: str, renewal: Renewal) -> tuple[Served, str]:
        """An unborn session under its new id; born there if the renew changes it."""
        new_id = successor_id(renewal)
        async with self._lanes.hold(key):
            if not await self._creating.has_been_stored(key):
                entry = await self._creating.renew(key, self.key_of(new_id), renewal.asked)
                return Served(entry, Source.BYPASS), new_id
        return await self.renew(renewal)

    async def _change_unborn(self, key: str, asked: Asked) -> Served:
        if asked.patch.is_empty and asked.if_versions is None:
            return await self._read(key, None, is_access=True)
        async with self._lanes.hold(key):
            if self._creating.unborn(key) is not None:
                try:
                    entry = await self._creating.bear(key, asked)
                    return Served(entry, Source.BYPASS, is_born=True)
                except SessionExists:
                    self._creating.forget(key)
        return await self.change(key, asked, None)

    async def _live_for_change(self, key: str, hint: Hint | None) -> Served:
        """A live session as a read finds it, but none in its grace."""
        served = await resolved(self.read(key, hint))
        if served.was_renewed:
            raise SessionEnded(Reason.RENEWED)
        return Served(served.entry, Source.BYPASS)

    async def _change_through(self, key: str, asked: Asked, hint: Hint | None) -> Served:
        principal, policy = asked.patch.principal, self.core.policy
        if principal is not UNSET:
            await self.principals.refuse_above_limit(policy, principal, {key})
        entry, is_written = await self._writing.change(key, asked, hint)
        record = entry.record
        if principal is not UNSET:
            await self.principals.end_oldest_above_limit(policy, entry)
        if not is_written:
            await self._count_access(self.core.l1.peek(key) or entry)
        await self._evict_after_request(entry)
        is_kept = key in self.core.journal.keys
        if entry.record is not record and isinstance(record, Session) and not is_kept:
            # The answer is about this change, whatever others have done since.
            entry = detached(record)
        return Served(entry, Source.BYPASS, was_changed=is_written)

    async def _count_access(self, entry: Entry) -> None:
        """What changes nothing is an access all the same."""
        if isinstance(entry.record, Session) and self.touching.access(entry):
            await self.touching.write_now(entry)

    # Ending

    async def invalidate(self, key: str, reason: Reason = Reason.LOGOUT) -> bool:
        """End a session and what it was renewed to; whether this call ended anything.

        Raises:
            SessionUnknown: there was never such a session, or it was purged.
        """
        self._check_open()
        key = self._creating.newest(key)
        if self._creating.unborn(key) is not None:
            async with self._lanes.hold(key):
                if await self._creating.end(key, reason):
                    return True
        return await self._buffering.attempt(
            lambda: self._buffering.end_stored(key, reason),
            lambda: self._buffering.end(key, reason),
            may_keep=self.core.buffers,
            may_repeat=True,
        )

    # Life of the worker

    async def __aenter__(self) -> Self:
        await self._life.meet_the_store()
        self._life.begin()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close(0)

    async def close(self, seconds: float) -> bool:
        """Save all that is unsaved, for so many seconds; whether nothing was lost."""
        return await self._life.close(seconds)

    @property
    def unsaved(self) -> int:
        """Sessions with changes that the store does not hold yet."""
        return len(self.core.unsaved)

    async def refresh(self, key: str) -> Entry:
        """The entry of a live session as `Buffering.newest` has it.

        Raises:
            SessionUnknown, SessionEnded, StoreUnavailable.
        """
        entry = await self._buffering.newest(key)
        live_session(entry)
        return entry

    def _check_open(self) -> None:
        if self._life.is_closing:
            raise ShuttingDown

    async def _evict_after_request(self, entry: Entry) -> None:
        if self.core.policy.evict is Eviction.AFTER_REQUEST:
            await self.housekeeping.evict(entry)

    def _count(self, source: Source) -> None:
        counters = self.core.counters
        counters.hits += source is Source.HIT
        counters.revalidated += source is Source.REVALIDATED
        counters.misses += source in {Source.MISS, Source.BYPASS}
