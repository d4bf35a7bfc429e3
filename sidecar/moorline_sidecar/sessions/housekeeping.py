"""The scavenge: what is over becomes tombstones, and what crashed workers left is tidied up.

Nobody is served an expired session because a scavenge is late (Jetty `HouseKeeper`).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Final

import structlog
from moorline_api import Eviction
from msgspec import Struct, structs

from moorline_sidecar.cache.entry import Entry
from moorline_sidecar.domain.policies import ORPHANED_COPY_MS, slack
from moorline_sidecar.domain.session import Reason, Session, Tombstone
from moorline_sidecar.errors import Overloaded, Refusal, StoreError
from moorline_sidecar.sessions.core import Core
from moorline_sidecar.sessions.deferring import Deferring
from moorline_sidecar.sessions.ending import Ending, new_write_id
from moorline_sidecar.sessions.lanes import Lanes
from moorline_sidecar.sessions.writing import Job
from moorline_sidecar.stores.base import Change, Copy, End, Expired, Outcome

BATCH: Final = 200
"""Records in one query where the policy sets no limit."""

JITTER: Final = 0.1
"""Part of the period: many pods that started together shall not scavenge together."""

EVICT_TICK_SECONDS: Final = 0.5

log = structlog.get_logger(__name__)


class Scavenged(Struct, frozen=True, kw_only=True):
    """What one scavenge did, and when (store's milliseconds)."""

    at: int
    expired: int = 0
    orphans: int = 0
    copies: int = 0
    graces: int = 0


class Housekeeping:
    """Scavenges, and evicts what `cache.evict` says."""

    def __init__(self, core: Core, lanes: Lanes[Job], ending: Ending, deferring: Deferring) -> None:
        self._core = core
        self._lanes = lanes
        self._ending = ending
        self._deferring = deferring
        self.last: Scavenged | None = None

    async def keep_scavenging(self) -> None:
        """After `scavenge.delay`, then every `scavenge.period` (0: never), for ever."""
        loop = asyncio.get_running_loop()
        since, is_first, share = loop.time(), True, 1.0
        while True:
            policy = self._core.policy
            period_ms = policy.scavenge_delay_ms if is_first else policy.scavenge_period_ms
            due = since + period_ms * share / 1000
            if await self._core.pause(due - loop.time() if policy.scavenge_period_ms else None):
                continue
            try:
                await self.scavenge()
            except (StoreError, Overloaded) as error:
                log.warning("the scavenge was cut short", why=str(error))
            share = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 jitter
            since, is_first = loop.time(), False

    async def scavenge(self, *, everywhere: bool = True) -> Scavenged:
        """One round; only the sessions that this worker knows where not `everywhere`.

        Raises:
            StoreError: it was cut short; the next round does the rest.
        """
        core = self._core
        core.availability.check()
        done = Scavenged(at=core.clock.now(), expired=await self._end_known())
        if everywhere:
            done = Scavenged(
                at=done.at,
                expired=done.expired,
                orphans=0 if core.availability.is_quiet else await self._end_orphans(),
                copies=await self._remove_copies(),
                graces=await self._drop_graces(),
            )
        self.last = done
        return done

    async def keep_evicting(self) -> None:
        """Evict idle entries, for ever, where the policy asks for it."""
        core = self._core
        while True:
            is_wanted = core.policy.evict is Eviction.AFTER_IDLE
            if await core.pause(EVICT_TICK_SECONDS if is_wanted else None):
                continue
            before = core.clock.monotonic() - core.policy.evict_idle_ms
            for entry in core.l1:
                if entry.times.used_at <= before:
                    await self.evict(entry)

    async def evict(self, entry: Entry) -> bool:
        """Drop an entry, saved first; false if that could not be done."""
        if entry.key in self._core.unsaved:
            try:
                await self._deferring.save(entry.key)
            except (StoreError, Refusal):
                return False
        if entry.key in self._core.unsaved:
            return False
        self._core.l1.drop(entry.key)
        return True

    async def _end_known(self) -> int:
        """End the sessions in the L1 whose time is over."""
        before = self._core.counters.expired
        for entry in self._core.l1:
            if isinstance(entry.record, Session) and self._core.is_over(entry, None):
                async with self._lanes.hold(entry.key):
                    try:
                        await self._ending.expire(entry, None)
                    except Refusal:
                        continue
        return self._core.counters.expired - before

    async def _end_orphans(self) -> int:
        """End what workers left behind that are gone: long past its stored expiry."""
        core = self._core
        policy = core.policy
        patience = max(policy.scavenge_grace_ms, slack(policy, 0))
        before = core.clock.now() - patience
        ended = 0
        limit = policy.scavenge_limit or BATCH
        store = core.store
        while True:
            found = await core.availability.ask(
                "expired", lambda: store.expired(before, limit), is_background=True
            )
            outcomes: list[Outcome] = []
            for first in range(0, len(found), BATCH):
                # More at once would wait for one another, and be refused for that.
                outcomes += await self._end_all(found[first : first + BATCH])
            progress = sum(outcome is Outcome.APPLIED for outcome in outcomes)
            ended += progress
            core.counters.orphans_ended += progress
            if policy.scavenge_limit or len(found) < limit or not progress:
                return ended

    async def _end_all(self, found: Sequence[Expired]) -> list[Outcome]:
        if not found:
            return []
        ends = [
            End(
                key=expired.key,
                write_id=new_write_id(),
                now=self._core.clock.now(),
                reason=Reason.EXPIRED,
                access=expired.access,
            )
            for expired in found
        ]
        return await asyncio.gather(*map(self._end_alone, ends))

    async def _end_alone(self, end: End) -> Outcome:
        async with self._lanes.hold(end.key):
            return await self._core.write(end)

    async def _remove_copies(self) -> int:
        """Settle or remove the copies of renews that were cut short."""
        core = self._core
        store = core.store
        created_before = core.clock.now() - ORPHANED_COPY_MS
        copies = await core.availability.ask(
            "copies", lambda: store.copies(created_before, BATCH), is_background=True
        )
        removed = 0
        for copy in copies:
            removed += await self._tidy(copy)
        core.counters.copies_removed += removed
        return removed

    async def _tidy(self, copy: Copy) -> bool:
        """Finish the renew that made the copy, or remove it; whether it was removed."""
        core = self._core
        store = core.store
        async with self._lanes.hold(copy.origin):
            origin = await core.load(copy.origin)
            if isinstance(origin, Tombstone) and origin.renewed_to == copy.key:
                await core.availability.call("settle", lambda: store.settle(copy.key, copy.origin))
                return False
            if isinstance(origin, Session) and not await self._fence(origin, copy):
                return False
        return await core.availability.call(
            "discard", lambda: store.discard(copy.key, copy.origin, copy.version)
        )

    async def _fence(self, origin: Session, copy: Copy) -> bool:
        """Make sure that a swap which is still to come is lost: by the version that it goes by."""
        if origin.version >= copy.version:
            return True
        fenced = structs.replace(origin, version=origin.version + 1, write_id=new_write_id())
        return await self._core.write(Change(before=origin, after=fenced)) is Outcome.APPLIED

    async def _drop_graces(self) -> int:
        core = self._core
        store = core.store
        before = core.clock.now()
        dropped = 0
        while batch := await core.availability.call(
            "drop_grace", lambda: store.drop_grace(before, BATCH), is_background=True
        ):
            dropped += batch
        return dropped
