"""Looks at a real API server until something is so, and records what happens meanwhile."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from moorline_operator import naming
from moorline_operator.kube.api import Kube, KubeObject
from moorline_operator.kube.kinds import PODS, SESSION_CLUSTERS, Kind
from moorline_operator.pods import PodRecord, record_of

PATIENCE_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.1


async def eventually(
    look: Callable[[], Awaitable[bool]],
    what: Callable[[], str],
    seconds: float = PATIENCE_SECONDS,
) -> None:
    """Look until it is so.

    Raises:
        AssertionError: it was not in time; `what` says what was seen last.
    """
    deadline = time.monotonic() + seconds
    while not await look():
        assert time.monotonic() < deadline, what()
        await asyncio.sleep(LOOK_SECONDS)


async def everything(
    kube: Kube, kind: Kind, namespace: str = "", labels: str = ""
) -> list[KubeObject]:
    return [
        item async for page in kube.pages(kind, namespace, labels=labels) for item in page["items"]
    ]


async def records(kube: Kube, namespace: str) -> list[PodRecord]:
    """The pods with the label."""
    return [record_of(pod) for pod in await everything(kube, PODS, namespace, naming.CLUSTER)]


async def names_of(kube: Kube, namespace: str, count: int, seconds: float = 60.0) -> list[str]:
    """The worker names once that many pods have one and none has a gate, sorted."""
    found: list[str] = []

    async def look() -> bool:
        pods = await records(kube, namespace)
        found[:] = sorted(pod.worker for pod in pods if pod.worker and pod.gate is None)
        return len(found) == count == len(pods)

    await eventually(look, lambda: f"{count} pods should be named: {found}", seconds)
    return found


async def condition(kube: Kube, namespace: str, name: str, kind: str) -> dict[str, str]:
    """One condition of a SessionCluster; empty while it has none."""
    cluster = await kube.get(SESSION_CLUSTERS, namespace, name)
    conditions = cluster.get("status", {}).get("conditions", [])
    return next((found for found in conditions if found["type"] == kind), {})


async def until_reason(
    kube: Kube, namespace: str, name: str, kind: str, reason: str
) -> dict[str, str]:
    """The condition once it has that reason."""
    found: dict[str, str] = {}

    async def look() -> bool:
        found.clear()
        found.update(await condition(kube, namespace, name, kind))
        return found.get("reason") == reason

    await eventually(look, lambda: f"{kind} should have the reason {reason}: {found}")
    return found


@contextlib.asynccontextmanager
async def recorded(kube: Kube, namespace: str) -> AsyncIterator[list[KubeObject]]:
    """Every event of the namespace's pods while it is open, in order."""
    page = await anext(aiter(kube.pages(PODS, namespace)))
    events: list[KubeObject] = []

    async def record() -> None:
        since = page["metadata"]["resourceVersion"]
        async for event in kube.watch(PODS, namespace, since=since):
            events.append(event)  # noqa: PERF401 - it is read meanwhile

    recording = asyncio.create_task(record())
    try:
        yield events
    finally:
        recording.cancel()
        await asyncio.wait({recording})


def names_given_twice(events: list[KubeObject]) -> list[str]:
    """What is wrong in a history of pods: a name on two live ones at any moment of it."""
    wrong: list[str] = []
    holders: dict[str, str] = {}
    for event in events:
        if event["type"] == "BOOKMARK":
            continue
        pod = record_of(event["object"])
        for worker, uid in list(holders.items()):
            if uid == pod.uid:
                del holders[worker]
        if event["type"] == "DELETED" or not pod.is_live or not pod.worker:
            continue
        if pod.worker in holders:
            wrong.append(f"{pod.worker}: {pod.name} and the pod {holders[pod.worker]}")
        holders[pod.worker] = pod.uid
    return wrong
