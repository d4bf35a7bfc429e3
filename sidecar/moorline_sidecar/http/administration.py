"""What the operations listener is told and may do, on the sessions of this worker."""

from __future__ import annotations

import dataclasses
import heapq
import os
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import structs

from moorline_sidecar.config import Watch
from moorline_sidecar.domain.ids import handle_of
from moorline_sidecar.domain.session import Session
from moorline_sidecar.errors import StoreError, StoreUnavailable
from moorline_sidecar.hot import instant
from moorline_sidecar.http.operations import ScavengeResult, Stats, Worker
from moorline_sidecar.http.protocol import DataPlane
from moorline_sidecar.purge import PurgeResult, Purging, plan_of
from moorline_sidecar.sessions.counters import Counters
from moorline_sidecar.sessions.registering import Registering
from moorline_sidecar.sessions.service import Sessions
from moorline_sidecar.stores.registry import Member

PURGE_SECONDS: Final = 300.0
"""A purge that somebody waits for over HTTP; the CronJob has longer."""


class Administration:
    """Implements `operations.Operations`."""

    def __init__(
        self, sessions: Sessions, data_plane: DataPlane, watch: Watch, registering: Registering
    ) -> None:
        self._sessions = sessions
        self._data_plane = data_plane
        self._watch = watch
        self._registering = registering
        self._purging: Purging | None = None
        self._before = Counters()
        self._added_before = 0

    async def stats(self) -> Stats:
        core = self._sessions.core
        counters = core.counted()
        since = _since(counters, self._before)
        asked = since.hits + since.revalidated + since.misses
        last = self._sessions.housekeeping.last
        return Stats(
            sessions_current=core.l1.sessions,
            sessions_max=core.l1.high_water,
            sessions_total=core.l1.added - self._added_before,
            sessions_created=since.created,
            session_time_mean=round(counters.lifetime_mean_ms / 1000, 3),
            session_time_max=counters.lifetime_max_ms / 1000,
            session_time_std_dev=round(counters.lifetime_stddev_ms / 1000, 3),
            session_time_total=since.lifetime_total_ms / 1000,
            store_count=await self._store_count(),
            hit_ratio=round(since.hits / asked, 4) if asked else 0.0,
            unsaved=self._sessions.unsaved,
            conflicts=since.conflicts,
            last_scavenge=None if last is None else instant(last.at).decode(),
            cached_bytes=core.l1.bytes,
            expired=since.expired,
            renewed=since.renewed,
            outages=since.outages,
            lost_changes=since.lost_changes,
            spec_hash=self._watch.running.spec_hash,
            restart_needed=", ".join(self._watch.waiting),
        )

    def reset_stats(self) -> None:
        core = self._sessions.core
        core.counters.forget_lifetimes()
        core.l1.high_water = core.l1.sessions
        self._added_before = core.l1.added
        self._before = core.counted()

    async def scavenge(self, *, everywhere: bool) -> ScavengeResult:
        done = await self._sessions.housekeeping.scavenge(everywhere=everywhere)
        return ScavengeResult(
            expired=done.expired, orphans=done.orphans, copies=done.copies, graces=done.graces
        )

    async def purge(self, *, is_full: bool, is_dry_run: bool) -> PurgeResult | None:
        if self._purging is not None:
            return None
        self._sessions.core.availability.check()
        plan = plan_of(self._watch.running.purge, is_full=is_full, is_dry=is_dry_run)
        self._purging = Purging(self._sessions.core.store, plan, seconds=PURGE_SECONDS)
        try:
            return await self._purging.run()
        finally:
            self._purging = None

    async def cache_handles(self, after: str, limit: int) -> Sequence[str]:
        l1 = self._sessions.core.l1
        handles = (handle_of(entry.key) for entry in l1 if isinstance(entry.record, Session))
        return heapq.nsmallest(limit, (handle for handle in handles if handle > after))

    async def evict(self, handle: str) -> bool:
        for entry in self._sessions.core.l1:
            if handle_of(entry.key) == handle:
                if not await self._sessions.housekeeping.evict(entry):
                    raise StoreUnavailable("it could not be saved")
                return True
        return False

    async def workers(self) -> Sequence[Worker]:
        own = self._registering.member()
        this = structs.replace(
            _worker(own), pid=os.getpid(), connections=self._data_plane.connections
        )
        return [this, *map(_worker, await self._registering.others())]

    def readings(self) -> Mapping[str, float]:
        """What the metrics of sessions show, under the keys of `telemetry.instruments`."""
        core = self._sessions.core
        now = core.clock.monotonic()
        age_ms = core.coverage.age_ms(now)
        return {
            **({} if age_ms is None else {"stream_age_ms": age_ms}),
            "stream_is_live": core.coverage.is_live(now),
            **dataclasses.asdict(core.counted()),
            "cached_sessions": core.l1.sessions,
            "cached_bytes": core.l1.bytes,
            "unsaved": self._sessions.unsaved,
            "journal_bytes": core.journal.size,
            "store_is_up": not core.availability.is_down,
        }

    async def _store_count(self) -> int | None:
        """None while the store is away: the rest is worth knowing just then."""
        core = self._sessions.core
        try:
            return await core.availability.ask("count", core.store.count)
        except StoreError:
            return None


def _worker(member: Member) -> Worker:
    return Worker(
        name=member.worker,
        process=member.process,
        pod=member.pod,
        since=instant(member.since).decode(),
        beat=instant(member.beat).decode(),
        version=member.version,
        sessions=member.sessions,
        unsaved=member.unsaved,
    )


def _since(counters: Counters, before: Counters) -> Counters:
    """What was counted since the last reset; metrics go on from the start."""
    now, then = dataclasses.asdict(counters), dataclasses.asdict(before)
    return Counters(**{name: now[name] - then[name] for name in now})
