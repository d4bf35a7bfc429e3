"""Finds the SessionCluster of a pod, also one that was applied a moment after the pod."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Protocol

from moorline_operator.cluster import Cluster
from moorline_operator.errors import Unavailable

LOOK_SECONDS: Final = 0.25
"""Between two looks at the API server for one SessionCluster, however many pods wait for it."""


class ClusterSource(Protocol):
    """Where SessionClusters come from."""

    def known(self, namespace: str, name: str) -> Cluster | None:
        """What a watch has told of."""
        ...

    async def look_up(self, namespace: str, name: str) -> Cluster | None:
        """What the API server has now.

        Raises:
            KubeError: it does not answer, or does not want to.
        """
        ...


class Lookup:
    """Waits up to `wait` seconds for a SessionCluster that nobody knows yet."""

    def __init__(self, source: ClusterSource, wait: float) -> None:
        self._source = source
        self._wait = wait
        self._looks: dict[tuple[str, str], _Look] = {}

    async def find(self, namespace: str, name: str) -> Cluster | None:
        """The cluster, or None if there is none in time; one that is being deleted is none.

        Raises:
            KubeError: the API server does not let us look.
        """
        if (cluster := self._known(namespace, name)) is not None:
            return cluster
        try:
            async with asyncio.timeout(self._wait), self._look(namespace, name) as look:
                while True:
                    cluster = await look.again() or self._known(namespace, name)
                    if cluster is not None:
                        return cluster
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            return self._known(namespace, name)

    def _known(self, namespace: str, name: str) -> Cluster | None:
        return _living(self._source.known(namespace, name))

    @asynccontextmanager
    async def _look(self, namespace: str, name: str) -> AsyncIterator["_Look"]:
        """The look that all who wait for one cluster share."""
        key = namespace, name
        look = self._looks.setdefault(key, _Look(self._source, namespace, name))
        look.waiting += 1
        try:
            yield look
        finally:
            look.waiting -= 1
            if not look.waiting:
                del self._looks[key]


class _Look:
    def __init__(self, source: ClusterSource, namespace: str, name: str) -> None:
        self.waiting = 0
        self._source = source
        self._namespace = namespace
        self._name = name
        self._lock = asyncio.Lock()
        self._next = 0.0
        self._found: Cluster | None = None

    async def again(self) -> Cluster | None:
        """What the API server has, or had within the last `LOOK_SECONDS`."""
        async with self._lock:
            now = asyncio.get_running_loop().time()
            if self._found is None and now >= self._next:
                self._next = now + LOOK_SECONDS
                try:
                    found = await self._source.look_up(self._namespace, self._name)
                except Unavailable:
                    return None  # the next look may find it
                self._found = _living(found)
            return self._found


def _living(cluster: Cluster | None) -> Cluster | None:
    return None if cluster is None or cluster.is_deleting else cluster
