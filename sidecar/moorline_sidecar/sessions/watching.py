"""Follows the store's change stream, so that copies need not be asked for (`staleness: Pushed`).

Nothing depends on it: where the server has no streams, or the stream does not live, copies are
trusted as in `Bounced`. Jetty has nothing like it; its nodes ask the store whenever a request
arrives on another node than the one before.
"""

from __future__ import annotations

import asyncio
import random
from typing import Final

import structlog
from moorline_api import CacheMode, Staleness

from moorline_sidecar.domain.session import Reason, Session, Tombstone
from moorline_sidecar.errors import (
    HistoryLost,
    StoreError,
    StoreUnavailable,
    StreamUnsupported,
)
from moorline_sidecar.sessions.core import Core
from moorline_sidecar.sessions.coverage import BEYOND_ALL, LIVE_MS
from moorline_sidecar.stores.base import Heard, Seen, Stream

FIRST_PAUSE_SECONDS: Final = 0.1
PAUSE_MAX_SECONDS: Final = 2.0
"""Between two tries: a store that comes back is not met by all workers at once, and soon found."""

GATHER_SECONDS: Final = 0.02
"""Between a reply that told something and the next question: what happens meanwhile comes in one
reply. A question costs the store and this worker as much as a write, and a worker that writes all
the time would ask one for each of its writes."""

PATIENCE_SECONDS: Final = 0.08
"""The same, at most, after replies that came at once and were no news all the same: what this
worker has done, or, of some servers, nothing, for each access that is written anywhere. Each costs
both sides a millisecond. A change elsewhere is still seen within 50 ms in the mean."""

MANY: Final = 50
"""Events in a reply that is followed by a question at once: more of them wait."""

UNSUPPORTED_SECONDS: Final = 60.0
"""Before a server that has no streams is asked again: it may have been upgraded or configured."""

log = structlog.get_logger(__name__)


class Watching:
    """Keeps one stream open, takes in what it tells, and says how far that goes."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._token: object = None
        self._failures = 0
        self._is_known_live = False
        self._is_said = False

    async def keep_watching(self) -> None:
        """Follow the stream while the policy asks for it, for ever."""
        try:
            while True:
                if not self._is_wanted:
                    self._forget()
                    await self._core.pause(None)
                else:
                    await self._core.pause(await self._follow_once())
        finally:
            self._core.coverage.stop()

    @property
    def _is_wanted(self) -> bool:
        policy = self._core.policy
        return policy.staleness is Staleness.PUSHED and policy.cache_mode is CacheMode.ENABLED

    def _forget(self) -> None:
        """Go on from nowhere: what happens from now on is not told."""
        self._token = None
        self._is_known_live = False
        self._core.coverage.stop()

    async def _follow_once(self) -> float:
        """Follow one stream to its end; for how many seconds there shall be none."""
        try:
            await self._follow()
        except StreamUnsupported as error:
            self._forget()
            if not self._is_said:
                self._is_said = True
                log.warning("the store has no change stream; Pushed is as Bounced", why=str(error))
            return UNSUPPORTED_SECONDS * _jitter()
        except HistoryLost as error:
            self._core.counters.stream_losses += 1
            self._forget()
            log.warning("the change stream has a gap; every copy is asked for", why=str(error))
        except StoreError as error:
            self._core.counters.stream_breaks += 1
            if self._is_known_live:
                self._is_known_live = False
                log.info("the change stream broke", why=str(error))
        else:
            return 0
        self._failures += 1
        longest = min(PAUSE_MAX_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(self._failures, 10))
        return longest * _jitter()

    async def _follow(self) -> None:
        core = self._core
        async with core.store.watch(self._token) as stream:
            if self._token is None:
                core.coverage.begin(core.clock.monotonic())
            pause = GATHER_SECONDS
            while self._is_wanted:
                asked_at = core.clock.monotonic()
                heard = await _received(stream, asked_at)
                news = sum(self._take(seen) for seen in heard.seen)
                self._token = heard.token
                if heard.complete_until is not None:
                    self._note_life(heard.complete_until)
                took = (core.clock.monotonic() - asked_at) / 1000
                is_in_vain = not news and took < pause
                if news:
                    pause = GATHER_SECONDS
                else:
                    pause = _within_bounds(2 * pause if is_in_vain else pause / 2)
                if is_in_vain or 0 < len(heard.seen) < MANY:
                    await asyncio.sleep(pause)

    def _note_life(self, complete_until: int) -> None:
        self._core.coverage.extend(complete_until)
        self._failures = 0
        if not self._is_known_live:
            self._is_known_live, self._is_said = True, False
            log.info("the change stream is live")

    def _take(self, seen: Seen) -> bool:
        """Note an event; whether it was news."""
        core = self._core
        now = core.clock.monotonic()
        floor = BEYOND_ALL if seen.version is None else seen.version
        core.coverage.note(seen.key, floor, now)
        core.counters.stream_events += 1
        if seen.at is not None:
            core.counters.stream_lag_ms += max(0, core.clock.now() - seen.at)
        entry = core.l1.peek(seen.key)
        if entry is None:
            return True
        if not isinstance(entry.stored, Session):
            return False
        is_news = not seen.is_valid or floor > entry.stored.version
        if not seen.is_valid:
            self._end(seen, entry.stored)
        elif seen.version is None and entry.is_evictable:
            core.forget(seen.key)
        else:
            entry.outdate(floor, now)
        return is_news

    def _end(self, seen: Seen, session: Session) -> None:
        """Drop what the session held, and keep the end where it is known well enough.

        After a renew there is more to it: the grace, and the new session.
        """
        core = self._core
        if seen.version is None or seen.reason in {None, Reason.RENEWED}:
            core.forget(seen.key)
            return
        assert seen.reason is not None  # noqa: S101 looked at just now
        core.bury(
            Tombstone(
                key=seen.key,
                version=seen.version,
                created=session.created,
                accessed=session.accessed,
                invalidated=core.clock.now() if seen.at is None else seen.at,
                reason=seen.reason,
            )
        )


async def _received(stream: Stream, asked_at: int) -> Heard:
    try:
        async with asyncio.timeout(LIVE_MS / 1000):
            return await stream.receive(asked_at)
    except TimeoutError as error:
        raise StoreUnavailable("the change stream does not reply") from error


def _within_bounds(pause: float) -> float:
    return min(max(pause, GATHER_SECONDS), PATIENCE_SECONDS)


def _jitter() -> float:
    return random.uniform(0.5, 1.5)  # noqa: S311 jitter
