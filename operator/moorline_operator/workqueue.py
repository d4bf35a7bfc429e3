"""Which SessionClusters have to be looked at, each at most once at a time.

Level-triggered: a key says only that something may have changed. As client-go's work queue, with
due times.
"""

import asyncio
import heapq
import itertools
import math
from collections.abc import Callable, Hashable
from contextlib import suppress
from time import monotonic
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FIRST_RETRY_SECONDS: Final = 0.5
LONGEST_RETRY_SECONDS: Final = 120.0


class WorkQueue(Generic[K]):
    """Keys and when they are due; one that comes again while it is worked on waits for the end.

    Each operation takes O(log n) of the keys that wait.
    """

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._due: dict[K, float] = {}
        # By due time; an entry whose time is not the key's own any more is passed over. The
        # number keeps the order of what is due at once, and keys from being compared.
        self._heap: list[tuple[float, int, K]] = []
        self._numbers = itertools.count()
        self._working: set[K] = set()
        self._failures: dict[K, int] = {}
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._due)

    def add(self, key: K, after_seconds: float = 0.0) -> None:
        """Make the key due then, or earlier if it already was to be."""
        due = self._now() + after_seconds
        if due < self._due.get(key, math.inf):
            self._due[key] = due
            if key not in self._working:
                self._push(key)

    async def take(self) -> K:
        """The next key that is due, and not worked on; `finished` gives it back."""
        while True:
            self._changed.clear()
            due = self._next_due()
            if due <= self._now():
                _, _, key = heapq.heappop(self._heap)
                del self._due[key]
                self._working.add(key)
                return key
            await self._until_changed(None if due == math.inf else due - self._now())

    def finished(self, key: K) -> None:
        self._failures.pop(key, None)
        self._give_back(key)

    def failed(self, key: K) -> float:
        """Give the key back to be tried again; in how many seconds."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        after: float = min(FIRST_RETRY_SECONDS * 2 ** min(failures - 1, 16), LONGEST_RETRY_SECONDS)
        self.add(key, after)
        self._give_back(key)
        return after

    def _push(self, key: K) -> None:
        heapq.heappush(self._heap, (self._due[key], next(self._numbers), key))
        self._changed.set()

    def _next_due(self) -> float:
        """When the first key of the heap is due that waits at that time; `inf` without one."""
        while self._heap:
            due, _, key = self._heap[0]
            if self._due.get(key) == due and key not in self._working:
                return due
            heapq.heappop(self._heap)
        return math.inf

    def _give_back(self, key: K) -> None:
        self._working.discard(key)
        if key in self._due:
            self._push(key)

    async def _until_changed(self, at_most_seconds: float | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most_seconds):
                await self._changed.wait()
