"""Specs that are changed, and how long it takes until their status says that it is done."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from typing import Final, Self

from moorline_operator.kube.api import Kube
from moorline_operator.kube.kinds import SESSION_CLUSTERS

from bench.workload import each

GAP_SECONDS: Final = 0.2
DEADLINE_SECONDS: Final = 60.0
APART_SECONDS: Final = 2.5
"""One status is written every two seconds at most: changes of one spec are further apart."""

Place = tuple[str, str]


class Changes:
    """Changes of SessionClusters, each to a value that it did not have before.

    A change is done when `status.observedGeneration` is its generation: the operator writes that
    after the children. It counts from the request on.
    """

    def __init__(self, kube: Kube, clusters: Sequence[Place]) -> None:
        self._kube = kube
        self._clusters = clusters
        self._passes = 0
        self._seen: dict[Place, int] = {}
        self._news = asyncio.Condition()

    @classmethod
    @contextlib.asynccontextmanager
    async def of(cls, kube: Kube, clusters: Sequence[Place]) -> AsyncIterator[Self]:
        changes = cls(kube, clusters)
        first = await anext(kube.pages(SESSION_CLUSTERS, limit=1))
        watching = asyncio.create_task(changes._watch(first["metadata"]["resourceVersion"]))
        try:
            yield changes
        finally:
            watching.cancel()
            await asyncio.wait({watching})

    async def paced(self, passes: int) -> list[float]:
        """Each cluster once in a pass, `GAP_SECONDS` apart; the seconds each took."""
        begun, number = time.monotonic(), 0
        async with asyncio.TaskGroup() as tasks:
            changes = []
            for _ in range(passes):
                self._passes += 1
                for place in self._clusters:
                    await asyncio.sleep(max(0.0, begun + number * GAP_SECONDS - time.monotonic()))
                    changes.append(tasks.create_task(self._change(place, self._passes)))
                    number += 1
        return [change.result() for change in changes]

    async def burst(self) -> list[float]:
        """All clusters, as fast as the API server takes it."""
        await asyncio.sleep(APART_SECONDS)
        self._passes += 1
        taken: list[float] = []

        async def change(place: Place) -> None:
            taken.append(await self._change(place, self._passes))

        await each(self._clusters, change)
        return taken

    async def _change(self, place: Place, number: int) -> float:
        value = f"{30 + number}m"
        operations = [{"op": "replace", "path": "/spec/sessions/maxIdle", "value": value}]
        begun = time.monotonic()
        answer = await self._kube.json_patch(SESSION_CLUSTERS, *place, operations)
        generation = answer["metadata"]["generation"]
        async with asyncio.timeout(DEADLINE_SECONDS), self._news:
            await self._news.wait_for(lambda: self._seen.get(place, 0) >= generation)
        return time.monotonic() - begun

    async def _watch(self, version: str) -> None:
        async for event in self._kube.watch(SESSION_CLUSTERS, since=version):
            metadata = event["object"]["metadata"]
            if event["type"] != "BOOKMARK":
                place = metadata["namespace"], metadata["name"]
                self._seen[place] = event["object"].get("status", {}).get("observedGeneration", 0)
                async with self._news:
                    self._news.notify_all()
