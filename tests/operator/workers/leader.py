"""A namer that is fed as the operator feeds it, and the pods it meets."""

import asyncio
from contextlib import suppress
from typing import Any

from moorline_operator import naming
from moorline_operator.kube.api import KubeObject
from moorline_operator.kube.kinds import LEASES, PODS
from moorline_operator.pods import PodRecord, record_of
from moorline_operator.workers.namer import Namer

from tests.operator.objects import a_pod, owned_by
from tests.operator.workers.simulated_api import SimulatedApi

NAMESPACE = "web"


def gated_pod(name: str, *, gates: tuple[str, ...] = (naming.GATE,), **more: Any) -> KubeObject:  # noqa: ANN401 - whatever a pod has
    """A pod that waits for its name."""
    return a_pod(name, spec={"schedulingGates": [{"name": gate} for gate in gates]}, **more)


def stateful_pod(ordinal: int, **more: Any) -> KubeObject:  # noqa: ANN401 - whatever a pod has
    """A pod of the StatefulSet `db` that waits for its name."""
    return gated_pod(f"db-{ordinal}", ownerReferences=owned_by("StatefulSet", "db"), **more)


class Ready:
    """All SessionClusters are as these attributes say."""

    def __init__(self) -> None:
        self.ready = True
        self.prefix: str | None = "node"

    def is_ready(self, _namespace: str, _cluster: str) -> bool:
        return self.ready

    def prefix_of(self, _namespace: str, _cluster: str) -> str | None:
        return self.prefix


class Measured:
    """The seconds that each naming took."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def named(self, seconds: float) -> None:
        self.seconds.append(seconds)


class Leader:
    """One run of a namer; it hears of changes `lag` seconds later, in their order."""

    def __init__(self, api: SimulatedApi, clusters: Ready, lag: float = 0.0) -> None:
        self.measured = Measured()
        now = asyncio.get_running_loop().time
        self.namer = Namer(api, clusters, self.measured, now)
        self._api = api
        self._lag = lag
        self._records: dict[str, PodRecord] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        for lease in self._api.of(LEASES):
            self.namer.start(lease)
        for pod in self._api.of(PODS):
            self._hear("ADDED", pod)
        self._api.changed.append(self._told)
        self._tasks.append(asyncio.create_task(self.namer.run()))

    async def crash(self) -> None:
        """End between any two steps, without a word."""
        if self._told in self._api.changed:
            self._api.changed.remove(self._told)
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task

    def _told(self, event: str, obj: KubeObject) -> None:
        if obj["kind"] == "Pod":
            asyncio.get_running_loop().call_later(self._lag, self._hear, event, obj)

    def _hear(self, event: str, pod: KubeObject) -> None:
        """As the picture of the pods does it: only what differs is passed on."""
        record = record_of(pod)
        if event == "DELETED":
            self.namer.pod_gone(self._records.pop(record.uid, record))
        elif self._records.get(record.uid) != record:
            self._records[record.uid] = record
            self.namer.pod_seen(record)
