"""A namer on a real API server, fed as the operator feeds it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from moorline_operator import naming
from moorline_operator.kube.api import Kube, KubeObject
from moorline_operator.kube.kinds import LEASES, PODS, Kind
from moorline_operator.kube.reflector import Reflector
from moorline_operator.picture import Pods
from moorline_operator.workers.namer import Namer

from tests.operator.workers.leader import Measured, Ready


async def listed(kube: Kube, kind: Kind, namespace: str) -> list[KubeObject]:
    """All objects of the kind that have the label of a cluster."""
    pages = kube.pages(kind, namespace, labels=naming.CLUSTER)
    # Items of a list do not say of what kind they are.
    return [item async for page in pages async for item in _items(page)]


async def _items(page: Mapping[str, Any]) -> AsyncIterator[KubeObject]:
    for item in page["items"]:
        yield item


@asynccontextmanager
async def leading(kube: Kube, namespace: str, measured: Measured) -> AsyncIterator[Namer]:
    """A namer at work; it ends at once, in the middle of whatever it does."""
    namer = Namer(kube, Ready(), measured)
    for lease in await listed(kube, LEASES, namespace):
        namer.start(lease)
    pods = Pods(namer.pod_seen, namer.pod_gone)
    reflector = Reflector(kube, PODS, pods, namespace=namespace, labels=naming.CLUSTER)
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(reflector.run())
        await reflector.synced()
        giving = tasks.create_task(namer.run())
        try:
            yield namer
        finally:
            giving.cancel()
            watching.cancel()


async def create_all(kube: Kube, pods: list[KubeObject]) -> None:
    """Create them, sixteen at a time."""
    slots = asyncio.Semaphore(16)

    async def create(pod: KubeObject) -> None:
        async with slots:
            await kube.create(PODS, pod)

    async with asyncio.TaskGroup() as tasks:
        for pod in pods:
            tasks.create_task(create(pod))
