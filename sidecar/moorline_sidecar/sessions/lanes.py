"""One writer at a time for each session of this worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

Job = TypeVar("Job")


class Lanes(Generic[Job]):
    """A lock for each key that is in use, and the jobs that wait behind it.

    Whoever holds a lane may do the work of all who wait: that is how queued changes become one
    write.
    """

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane[Job]] = {}

    def __len__(self) -> int:
        return len(self._lanes)

    def queue(self, key: str, job: Job) -> None:
        """Let the next holder of the lane find the job. Whoever queues must then hold the lane."""
        self._lane(key).jobs.append(job)

    def take(self, key: str) -> list[Job]:
        """All jobs that wait; the holder's now."""
        lane = self._lane(key)
        jobs, lane.jobs = lane.jobs, []
        return jobs

    def queued(self, key: str) -> int:
        """How many jobs wait behind the holder."""
        lane = self._lanes.get(key)
        return 0 if lane is None else len(lane.jobs)

    def is_wanted(self, key: str) -> bool:
        """Whether jobs wait behind the holder."""
        return bool(self._lane(key).jobs)

    @asynccontextmanager
    async def hold(self, key: str) -> AsyncIterator[None]:
        """Alone with the session, in the order of asking."""
        lane = self._lane(key)
        lane.users += 1
        try:
            async with lane.lock:
                yield
        finally:
            lane.users -= 1
            if not lane.users:
                del self._lanes[key]

    def _lane(self, key: str) -> _Lane[Job]:
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane()
        return lane


class _Lane(Generic[Job]):
    __slots__ = ("jobs", "lock", "users")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.jobs: list[Job] = []
        self.users = 0
