"""The life of a worker: its work in the background, and an end that loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final

import structlog
from moorline_api import OnOutage, OnShutdown

from moorline_sidecar.domain.policies import touch_period
from moorline_sidecar.domain.session import Reason, Session
from moorline_sidecar.errors import Overloaded, SessionUnknown, StoreError
from moorline_sidecar.sessions.batching import BATCH_MAX, IN_FLIGHT_MAX
from moorline_sidecar.sessions.core import Core
from moorline_sidecar.sessions.deferring import SAVES_AT_ONCE, Deferring
from moorline_sidecar.sessions.ending import Ending
from moorline_sidecar.sessions.housekeeping import Housekeeping
from moorline_sidecar.sessions.lanes import Lanes
from moorline_sidecar.sessions.preparing import Preparing
from moorline_sidecar.sessions.replaying import Replaying
from moorline_sidecar.sessions.touching import Touching
from moorline_sidecar.sessions.writing import Job

RETRY_SECONDS: Final = 0.2
"""Between tries to save at shutdown while the store is away."""

LAST_TRY_SECONDS: Final = 1.0
"""For a try that is under way when the time is over."""

ENDS_AT_ONCE: Final = BATCH_MAX * IN_FLIGHT_MAX
"""As many as can be under way together: more would wait, and be refused for that."""

CANCELLATIONS_MAX: Final = 5
CANCELLATION_SECONDS: Final = 0.2

RESTART_SECONDS: Final = 1.0
"""Before work in the background that has failed begins anew."""

log = structlog.get_logger(__name__)


class Life:
    """Starts what runs in the background, and saves everything at the end."""

    def __init__(  # noqa: PLR0913, PLR0917 the parts it is made of
        self,
        core: Core,
        lanes: Lanes[Job],
        ending: Ending,
        touching: Touching,
        deferring: Deferring,
        housekeeping: Housekeeping,
        replaying: Replaying,
        besides: Sequence[Callable[[], Awaitable[None]]],
    ) -> None:
        self._core = core
        self._lanes = lanes
        self._ending = ending
        self._touching = touching
        self._deferring = deferring
        self._housekeeping = housekeeping
        self._replaying = replaying
        self._preparing = Preparing(core.store)
        self._besides = besides
        self._background: list[asyncio.Task[None]] = []
        self.is_closing = False
        core.availability.on_return = self._flush_after_outage

    async def meet_the_store(self) -> None:
        """Hear the store's clock, and have it make its tables, before anybody is served.

        The node's clock may be minutes off: no session is created or judged by it. A store that
        does not answer counts as out of reach, and is met by the first heartbeat that it answers.
        """
        core = self._core
        asked_at = core.clock.monotonic()
        with contextlib.suppress(StoreError):
            store_now = await core.availability.ask("now", core.store.now)
            core.clock.learn(store_now, asked_at, core.clock.monotonic())
            await self._preparing.hasten()

    def begin(self) -> None:
        """Start the work in the background."""
        self.warn_of_what_is_missing()
        if self._core.journal.left_behind:
            log.info("changes were left behind", records=len(self._core.journal.left_behind))
            # Whoever asks is to see them, so that nobody is let through before they are here.
            self._core.availability.begin_away()
        loops = (
            self._core.availability.keep_watch,
            self._touching.keep_flushing,
            self._deferring.keep_saving,
            self._housekeeping.keep_scavenging,
            self._housekeeping.keep_evicting,
            self._preparing.keep_trying,
            *self._besides,
        )
        self._background = [asyncio.create_task(_kept_going(loop)) for loop in loops]

    def warn_of_what_is_missing(self) -> None:
        """Say what the policy asks for in vain."""
        if self._core.policy.on_outage is OnOutage.BUFFER and not self._core.caches:
            log.warning("without a cache, onOutage Buffer refuses changes in an outage")

    async def close(self, seconds: float) -> bool:
        """Save all that is unsaved, or end all sessions of the L1 where the policy says so.

        A store that is away is tried again for so many seconds. Whether nothing was lost.
        """
        if self.is_closing:
            return True
        self.is_closing = True
        until = self._core.clock.monotonic() + int(seconds * 1000)
        # The heartbeat goes on: it finds out when the store is back.
        heartbeat, *others = self._background
        await _end(others)
        is_done = False
        try:
            async with asyncio.timeout(seconds + LAST_TRY_SECONDS):
                while not (is_done := await self._save_everything()):
                    if self._core.clock.monotonic() >= until:
                        break
                    await asyncio.sleep(RETRY_SECONDS)
                await self._core.drain()
        except TimeoutError:
            is_done = False
        finally:
            if not is_done:
                is_done = self._report_loss()
            await _end([heartbeat])
            await self._core.journal.close()
        return is_done

    @property
    def _is_to_end_sessions(self) -> bool:
        return self._core.policy.on_shutdown is OnShutdown.INVALIDATE

    async def _save_everything(self) -> bool:
        if not (self._is_to_end_sessions or self._has_something_to_save()):
            return True
        try:
            self._core.availability.check()
            if self._is_to_end_sessions:
                return await self._invalidate_everything()
            is_saved = await self._deferring.save_all()
            await self._touching.flush()
            await self._replaying.resume()
        except (StoreError, Overloaded):
            return False
        return is_saved

    def _has_something_to_save(self) -> bool:
        core = self._core
        return bool(core.unsaved or core.unwritten or not core.journal.is_idle)

    async def _invalidate_everything(self) -> bool:
        creates = list(self._core.journal.creates)
        for first in range(0, len(creates), SAVES_AT_ONCE):
            # What is to be created later cannot be ended now.
            await self._deferring.save_many(creates[first : first + SAVES_AT_ONCE])
        live = [entry.key for entry in self._core.l1 if isinstance(entry.record, Session)]
        has_failed = False
        for first in range(0, len(live), ENDS_AT_ONCE):
            ends = map(self._shut_down, live[first : first + ENDS_AT_ONCE])
            results = await asyncio.gather(*ends, return_exceptions=True)
            has_failed |= any(isinstance(result, StoreError | Overloaded) for result in results)
        await self._replaying.resume()
        return not has_failed and not self._core.journal.creates

    async def _shut_down(self, key: str) -> None:
        async with self._lanes.hold(key):
            with contextlib.suppress(SessionUnknown):
                await self._ending.end(key, Reason.SHUTDOWN)

    def _report_loss(self) -> bool:
        """Say what the store did not take; whether nothing of it is lost."""
        core, journal = self._core, self._core.journal
        # What is in the file comes with the time of its access.
        filed = journal.keys if journal.has_file else ()
        lost = sum(each.unsaved_count for each in core.unsaved.values() if each.key not in filed)
        lost += 0 if journal.has_file else len(journal.ends)
        lost_times = sum(key not in filed for key in core.unwritten)
        core.counters.lost_changes += lost
        if journal.has_file and not journal.is_idle:
            log.warning("changes wait in the journal for the next start", bytes=journal.size)
        is_kept = journal.has_file or journal.is_idle
        if is_kept and not (lost or lost_times or self._is_to_end_sessions):
            return True
        log.error("the store stayed away until the end", lost_changes=lost, lost_times=lost_times)
        return False

    async def _flush_after_outage(self) -> int:
        await self._preparing.hasten()
        await self._touching.flush(directly=True)
        await self._replaying.resume()
        return 2 * touch_period(self._core.policy, 0)


async def _kept_going(loop: Callable[[], Awaitable[None]]) -> None:
    """Run work in the background; an error of ours must not end it unnoticed."""
    while True:
        try:
            await loop()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Nobody ended this task: something that it waited for was cancelled.
            log.exception("work in the background was cut off")
        except Exception:
            log.exception("work in the background failed")
        else:
            return
        await asyncio.sleep(RESTART_SECONDS)


async def _end(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel tasks, and again: drivers swallow a cancellation that meets them at a bad moment."""
    pending = set(tasks)
    for _ in range(CANCELLATIONS_MAX):
        if not pending:
            return
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCELLATION_SECONDS)
