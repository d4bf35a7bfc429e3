"""Which SessionClusters have to be looked at, each at most once at a time.

Level-triggered: a key says only that something may have changed. As client-go's work queue, with
due times.
"""

import asyncio
from collections.abc import Callable, Hashable
from time import monotonic
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FIRST_RETRY_SECONDS: Final = 0.5
LONGEST_RETRY_SECONDS: Final = 120.0


class WorkQueue(Generic[K]):
    """Keys and when they are due; one that comes again while it is worked on waits for the end."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._due: dict[K, float] = {}
        self._working: set[K] = set()
        self._failures: dict[K, int] = {}
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._due)

    def add(self, key: K, after_seconds: float = 0.0) -> None:
        """Make the key due then, or earlier if it already was to be."""
        due = self._now() + after_seconds
        self._due[key] = min(self._due.get(key, due), due)
        self._changed.set()

    async def take(self) -> K:
        """The next key that is due, and not worked on; `finished` gives it back."""
        while True:
            self._changed.clear()
            ready = [(due, key) for key, due in self._due.items() if key not in self._working]
            due, key = min(ready, key=lambda pair: pair[0], default=(None, None))
            if due is not None and key is not None and due <= self._now():
                del self._due[key]
                self._working.add(key)
                return key
            await self._until_changed(None if due is None else due - self._now())

    def finished(self, key: K) -> None:
        self._failures.pop(key, None)
        self._give_back(key)

    def failed(self, key: K) -> float:
        """Give the key back to be tried again; in how many seconds."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        after: float = min(FIRST_RETRY_SECONDS * 2 ** min(failures, 16), LONGEST_RETRY_SECONDS)
        self.add(key, after)
        self._give_back(key)
        return after

    def _give_back(self, key: K) -> None:
        self._working.discard(key)
        self._changed.set()

    async def _until_changed(self, at_most_seconds: float | None) -> None:
        try:
            async with asyncio.timeout(at_most_seconds):
                await self._changed.wait()
        except TimeoutError:
            pass
