"""Whether the store is in reach, and a store that fails at once while it is not.

It counts as out of reach from the first failed call or heartbeat to the first heartbeat that
succeeds. Until then only heartbeats go through, with jitter, so that no herd meets a store that
comes back.

A store that answers others in the same moment is slow, not away: refusing everything would make
more of it than it is. When such a call fails, a heartbeat decides, and so it does when a call in
the background takes too long: its batches are large, and no user waits for it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

import structlog

from moorline_sidecar.errors import OutcomeUnknown, StoreError, StoreRefused, StoreUnavailable
from moorline_sidecar.hot import Standing
from moorline_sidecar.sessions.clock import Clock
from moorline_sidecar.sessions.counters import Counters
from moorline_sidecar.stores.base import SessionStore

CALL_SECONDS: Final = 2.7
"""No answer takes longer than 3 s; the stores' own time-outs are shorter still."""

HEARTBEAT_SECONDS: Final = 2.0
PROBE_SECONDS: Final = 0.3
"""While the store is away: seldom enough for a thousand sidecars, with jitter of a half."""

BESIDE_SECONDS: Final = 0.5
"""A heartbeat that takes longer gets another one beside it: what it waits for may be a connection
that was lost, or a packet, while the store is back. With jitter of a half."""

BEATS_MAX: Final = 5
"""Heartbeats under way at once: as many as begin in `CALL_SECONDS`."""

HEARD_MS: Final = 2_000
"""An answer of the store says for so long that it is there: less than a call takes that hangs, so
that the first one sent to a store that has died tells of it."""

T = TypeVar("T")

Observe = Callable[[str, float, str | None], None]
"""Told of each call: the verb, the seconds it took, and the class of its error."""

log = structlog.get_logger(__name__)


class Availability:
    """Up or down, kept by calls and by the heartbeat; also where the store's clock is heard."""

    def __init__(
        self, store: SessionStore, clock: Clock, counters: Counters, standing: Standing
    ) -> None:
        self._store = store
        self._clock = clock
        self._counters = counters
        self._failed = asyncio.Event()
        self._beats: set[asyncio.Task[bool]] = set()
        self._heard_at = -1
        self._standing = standing
        self._quiet_until = 0
        self.observe: Observe = _unobserved
        self.on_loss: Callable[[], None] = _unobserved_loss
        """Called when the store goes out of reach."""
        self.on_return: Callable[[], Awaitable[int]] | None = None
        """Called when the store is back, before anyone else may call it: writes the times that
        waited, and returns for how many milliseconds nothing is to be ended for idleness."""

    @property
    def is_down(self) -> bool:
        """Whether the store is out of reach."""
        return self._standing.is_down

    @property
    def is_quiet(self) -> bool:
        """Whether an outage is so fresh that others may hold accesses they could not write yet.

        Nothing is to be ended for idleness then.
        """
        return self._clock.monotonic() < self._quiet_until

    def begin_away(self) -> None:
        """Let nobody through before the first heartbeat has been answered, and `on_return` done."""
        self._standing.is_down = True

    def check(self) -> None:
        """Raise StoreUnavailable while the outage lasts."""
        if self.is_down:
            raise StoreUnavailable

    async def call(
        self, verb: str, operation: Callable[[], Awaitable[T]], *, is_background: bool = False
    ) -> T:
        """The result of a store's verb, in time; at once an error while the store is away.

        One that `is_background` does not say that the store is away by taking too long; no call
        does if the store has just answered another one.

        Raises:
            StoreUnavailable: surely not applied.
            OutcomeUnknown: it did not end in time, or the connection broke.
        """
        self.check()
        started = self._clock.monotonic()
        failure: str | None = None
        try:
            async with asyncio.timeout(CALL_SECONDS):
                result = await operation()
        except TimeoutError as error:
            failure = type(error).__name__
            is_slow = is_background or self._is_answering_since(started)
            self._fail("the call took too long", is_slow=is_slow)
            raise OutcomeUnknown from error
        except StoreError as error:
            failure = type(error).__name__
            is_there = isinstance(error, StoreRefused)
            if isinstance(error, StoreUnavailable | OutcomeUnknown) and not is_there:
                is_slow = is_background and isinstance(error, OutcomeUnknown)
                is_slow = is_slow or self._is_answering_since(started)
                self._fail(str(error) or failure, is_slow=is_slow)
            raise
        else:
            self._heard_at = self._clock.monotonic()
            return result
        finally:
            self.observe(verb, (self._clock.monotonic() - started) / 1000, failure)

    async def ask(
        self, verb: str, question: Callable[[], Awaitable[T]], *, is_background: bool = False
    ) -> T:
        """As `call`, for verbs that change nothing: they have no outcome to be unknown.

        Raises:
            StoreUnavailable: there was no answer in time.
        """
        try:
            return await self.call(verb, question, is_background=is_background)
        except OutcomeUnknown as error:
            raise StoreUnavailable(str(error)) from error

    async def keep_watch(self) -> None:
        """Heartbeats, for ever."""
        try:
            while True:
                if await self._beat():
                    with suppress(TimeoutError):
                        async with asyncio.timeout(HEARTBEAT_SECONDS):
                            await self._failed.wait()
                    # Whatever has failed: the next heartbeat, at once, says what that means.
                    self._failed.clear()
        finally:
            for beat in self._beats:
                beat.cancel()
            await asyncio.gather(*self._beats, return_exceptions=True)
            self._beats.clear()

    async def _beat(self) -> bool:
        """Whether the store has answered a heartbeat, and may be called."""
        if len(self._beats) < BEATS_MAX:
            self._beats.add(asyncio.create_task(self._ask_the_time()))
        done, self._beats = await asyncio.wait(
            self._beats,
            timeout=_jittered(BESIDE_SECONDS),
            return_when=asyncio.FIRST_COMPLETED,
        )
        if any(beat.result() for beat in done):
            if self.is_down:
                await self._up()
            if not self.is_down:
                return True
        if done:
            await asyncio.sleep(_jittered(PROBE_SECONDS))
        return False

    async def _ask_the_time(self) -> bool:
        asked_at = self._clock.monotonic()
        try:
            async with asyncio.timeout(CALL_SECONDS):
                store_now = await self._store.now()
        except (StoreError, TimeoutError) as error:
            if self._heard_at <= asked_at:
                self._down(str(error) or "no answer to a heartbeat")
            return False
        self._heard_at = self._clock.monotonic()
        self._clock.learn(store_now, asked_at, self._heard_at)
        return True

    def _is_answering_since(self, started: int) -> bool:
        """Whether the store has just answered something, and after that time."""
        return self._heard_at > max(started, self._clock.monotonic() - HEARD_MS)

    def _fail(self, why: str, *, is_slow: bool) -> None:
        if is_slow:
            self._failed.set()
        else:
            self._down(why)

    def _down(self, why: str) -> None:
        if not self.is_down:
            self._counters.outages += 1
            log.warning("the store is out of reach", why=why)
            self._standing.is_down = True
            self._failed.set()
            self.on_loss()

    async def _up(self) -> None:
        if self.on_return is not None:
            try:
                quiet_ms = await self.on_return()
            except StoreError:
                return
            self._quiet_until = self._clock.monotonic() + quiet_ms
        self._standing.is_down = False
        log.info("the store is in reach again")


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.5, 1.5)  # noqa: S311 jitter


def _unobserved(_verb: str, _seconds: float, _failure: str | None) -> None:
    """Nobody measures."""


def _unobserved_loss() -> None:
    """Nobody waits."""
