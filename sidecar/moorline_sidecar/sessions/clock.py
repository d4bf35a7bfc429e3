"""The time of the store, over the monotonic clock of this process."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Both times in whole milliseconds."""

    offset: int
    """What `now` is ahead of `monotonic`."""

    def now(self) -> int:
        """The store's time since 1970; steps of the node's clock do not move it."""

    def monotonic(self) -> int:
        """Since some point; never goes back."""

    def nanoseconds(self) -> int:
        """What `monotonic` is taken from."""

    def learn(self, store_now: int, asked_at: int, answered_at: int) -> None:
        """Take in what the store's clock showed between two monotonic readings."""


class StoreClock:
    """The store's clock as last heard, carried on by the monotonic clock.

    Until the store has been heard it is the node's clock.
    """

    nanoseconds = staticmethod(time.monotonic_ns)

    def __init__(self) -> None:
        self.offset = time.time_ns() // 1_000_000 - self.monotonic()

    def monotonic(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def now(self) -> int:
        return time.monotonic_ns() // 1_000_000 + self.offset

    def learn(self, store_now: int, asked_at: int, answered_at: int) -> None:
        # Half the round trip is the best guess of when the clock was read (Cristian 1989). An
        # offset that is possible within the round trip is kept: time shall not jitter.
        if store_now - answered_at <= self.offset <= store_now - asked_at:
            return
        self.offset = store_now - (asked_at + answered_at) // 2


class ManualClock:
    """A clock that a test moves."""

    def __init__(self, now: int = 1_700_000_000_000) -> None:
        self.offset = now
        self._monotonic = 0

    def now(self) -> int:
        return self._monotonic + self.offset

    def monotonic(self) -> int:
        return self._monotonic

    def nanoseconds(self) -> int:
        return self._monotonic * 1_000_000

    def learn(self, store_now: int, asked_at: int, answered_at: int) -> None:
        """Nothing: a test says what time it is."""

    def advance(self, milliseconds: int) -> None:
        self._monotonic += milliseconds
