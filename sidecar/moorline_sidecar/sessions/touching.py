"""Times of accesses: kept here for a touch period, then written many at once."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Sequence
from typing import Final, TypeAlias

import structlog

from moorline_sidecar.cache.entry import Entry
from moorline_sidecar.domain.policies import calm_until, is_urgent, move_times, touch_period
from moorline_sidecar.domain.session import Mark, Session
from moorline_sidecar.errors import OutcomeUnknown, StoreError, StoreUnavailable
from moorline_sidecar.hot import Times
from moorline_sidecar.sessions.core import Core, merge_times
from moorline_sidecar.stores.base import Touch

TICK_SECONDS: Final = 0.25
"""How exactly a touch period is kept; well within the 5 s of slack."""

TICK_MS: Final = 250
"""What becomes due within one is written at once, when the first of it is due."""

ROUND_TICKS: Final = 4
"""Times of long touch periods become due once in so many ticks, all at once: the two calls of a
batch, and what they stir up in the store, cost a hundred times what one more time in it does."""

LONG_PERIOD_MS: Final = 50_000
"""A round is a fiftieth of it."""

BATCH_MAX: Final = 128
"""Times in one bulk write: making it takes a few milliseconds, in which nobody is served."""

BATCH_MIN: Final = 8
"""What a batch that takes too long is halved to at last."""

BATCH_MS: Final = 250
"""A batch that takes less is followed by one of twice as many, up to the most; one that takes twice
as long, by one of half as many: a store that is slow shall not be given more than it can do in
the time that a call has."""

Pile: TypeAlias = tuple[int, list[str]]
"""Keys that are due in the same tick; never none."""

log = structlog.get_logger(__name__)


class Touching:
    """Moves the times of entries, and brings them to the store within one touch period.

    An access is unwritten for one effective touch period at most, so that no other worker, which
    grants `slack` over the stored expiry, ends a session early.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        # Keys by when they are due, in ticks: nothing is kept for each of them but its place.
        self._due: dict[int, list[str]] = {}
        self._ticks: list[int] = []
        self._batch_max = BATCH_MAX

    def access(self, entry: Entry) -> bool:
        """Count an access to a live entry; true if its times must be written before the answer."""
        clock = self._core.clock
        return self.access_at(entry, clock.now(), clock.monotonic())

    def access_at(self, entry: Entry, now: int, monotonic: int) -> bool:
        """The same, where somebody has looked at the clock already."""
        times = entry.times
        move_times(times, now)
        times.used_at = monotonic
        period = touch_period(self._core.policy, times.max_idle_ms)
        if is_urgent(times, period):
            return True
        is_waiting = times.is_queued or times.is_in_flight
        if not is_waiting and times.own_accessed > times.stored_accessed:
            self._queue(entry.key, times, max(0, times.stored_accessed + period - now))
        times.calm_until = calm_until(times, period) if times.is_queued else 0
        return False

    async def write_now(self, entry: Entry) -> bool:
        """Write an entry's times before they are answered; false if its session has ended.

        An outage lets the answer go on.
        """
        try:
            marks = await self._flush([(entry.key, entry.times)])
        except StoreError:
            return True
        mark = marks.get(entry.key)
        return mark is not None and mark.is_valid

    async def keep_flushing(self) -> None:
        """Write what is due, for ever."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            if not self._core.availability.is_down:
                try:
                    await self.flush(due_only=True)
                except StoreError:
                    continue

    async def flush(self, *, due_only: bool = False, directly: bool = False) -> None:
        """Write all times that wait, or those that are due.

        `directly` passes by what keeps others away from a store that is out of reach.

        Raises:
            StoreError: it could not be done; what is left stays queued.
        """
        # What comes while this is done waits for the next time.
        piles = self._take(due_only=due_only)
        try:
            while batch := self._next_batch(piles):
                began = self._core.clock.monotonic()
                try:
                    await self._flush(batch, directly=directly, is_background=True)
                except BaseException:
                    self._batch_max = max(BATCH_MIN, len(batch) // 2)
                    raise
                self._pace(len(batch), self._core.clock.monotonic() - began)
        finally:
            self._put_back(piles)

    def _pace(self, size: int, took_ms: int) -> None:
        """Choose how many times the next batch has, by how long one of this size took."""
        if took_ms < BATCH_MS:
            self._batch_max = min(BATCH_MAX, 2 * self._batch_max)
        elif took_ms > 2 * BATCH_MS:
            self._batch_max = max(BATCH_MIN, size // 2)

    def _queue(self, key: str, times: Times, in_ms: int) -> None:
        if self._core.unwritten.get(key, times) is not times:
            # Of a copy that has been replaced: its successor has this access, or a later one.
            return
        times.is_queued = True
        self._core.unwritten[key] = times
        tick = (self._core.clock.monotonic() + in_ms) // TICK_MS
        if in_ms and touch_period(self._core.policy, times.max_idle_ms) >= LONG_PERIOD_MS:
            tick += -tick % ROUND_TICKS
        self._pile(tick).append(key)

    def _pile(self, tick: int) -> list[str]:
        """The keys that are due in this tick."""
        keys = self._due.get(tick)
        if keys is None:
            keys = self._due[tick] = []
            heapq.heappush(self._ticks, tick)
        return keys

    def _take(self, *, due_only: bool) -> deque[Pile]:
        """What waits, or is due, out of the queue; the keys are not looked at, as they are many."""
        now = self._core.clock.monotonic() // TICK_MS
        piles: deque[Pile] = deque()
        while self._ticks and (not due_only or self._ticks[0] <= now):
            tick = heapq.heappop(self._ticks)
            piles.append((tick, self._due.pop(tick)))
        return piles

    def _next_batch(self, piles: deque[Pile]) -> list[tuple[str, Times]]:
        """Times to be written now, off the first piles; none if nothing is left of them."""
        batch: list[tuple[str, Times]] = []
        while piles and len(batch) < self._batch_max:
            _, keys = piles[0]
            key = keys.pop()
            if not keys:
                piles.popleft()
            times = self._core.unwritten.get(key)
            if times is None or not times.is_queued:
                continue
            times.is_queued = False
            times.calm_until = 0
            if times.own_accessed > times.stored_accessed:
                batch.append((key, times))
            else:  # A change has written it meanwhile.
                del self._core.unwritten[key]
        return batch

    def _put_back(self, piles: deque[Pile]) -> None:
        for tick, keys in piles:
            self._pile(tick).extend(keys)

    async def _flush(
        self,
        batch: Sequence[tuple[str, Times]],
        *,
        directly: bool = False,
        is_background: bool = False,
    ) -> dict[str, Mark]:
        """Write these times, then look what has changed elsewhere under the same keys."""
        core = self._core
        sent = {key: self._touch(key, times) for key, times in batch}
        asked_at = core.clock.monotonic()
        for _, times in batch:
            times.is_in_flight = True

        async def write_and_look() -> dict[str, Mark]:
            await core.store.touch(list(sent.values()))
            return await core.store.confirm(list(sent))

        try:
            if directly:
                marks = await write_and_look()
            else:
                marks = await core.availability.call(
                    "touch", write_and_look, is_background=is_background
                )
        except BaseException as error:
            for key, times in batch:
                times.is_in_flight = False
                if not times.is_queued:
                    self._queue(key, times, 0)
            if isinstance(error, OutcomeUnknown):
                # Writing times twice does no harm.
                raise StoreUnavailable from error
            raise
        for _, times in batch:
            times.is_in_flight = False
        core.counters.touches += len(sent)
        core.counters.touch_batches += 1
        for key, touch in sent.items():
            self._settle(key, touch, marks.get(key), asked_at)
        return marks

    def _touch(self, key: str, times: Times) -> Touch:
        return Touch(
            key=key,
            accessed=times.own_accessed,
            last_accessed=times.own_last_accessed,
            expiry=times.own_expiry,
            max_idle_ms=times.max_idle_ms,
            last_node=self._core.policy.worker,
            now=self._core.clock.now(),
        )

    def _settle(self, key: str, touch: Touch, mark: Mark | None, asked_at: int) -> None:
        """Take in what the store holds after a touch; drop a copy that is not the newest."""
        core = self._core
        times = core.unwritten.pop(key, None)
        entry = core.l1.peek(key)
        if mark is None or not mark.is_valid:
            if entry is not None and isinstance(entry.record, Session):
                core.forget(key)
            return
        times = times if times is not None else entry.times if entry is not None else None
        if times is not None:
            times.is_queued = False
            times.calm_until = 0
            merge_times(times, mark)
            if times.own_accessed > mark.accessed:
                # Accessed again meanwhile, or not written because `maxIdle` had changed elsewhere.
                missed = mark.accessed < touch.accessed
                period = touch_period(core.policy, times.max_idle_ms)
                self._queue(key, times, 0 if missed else period)
        if entry is not None and isinstance(entry.record, Session):
            if mark.names(entry.stored):
                entry.confirm(asked_at)
            elif mark.version >= entry.stored.version and entry.is_evictable:
                core.l1.drop(key)
