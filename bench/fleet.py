"""Many workers of many SessionClusters, as they are when all rollouts are done.

They are made before the operator is there: its admission policies would only slow that down.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from moorline_operator import naming
from moorline_operator.kube.api import Kube, KubeObject
from moorline_operator.kube.kinds import JOBS, LEASES, PODS, SESSION_CLUSTERS
from moorline_operator.pods import record_of
from moorline_operator.settings import InjectionSettings
from moorline_operator.workers.claims import lease_of
from msgspec import Struct

from bench.cluster import make_namespace
from bench.workload import each, injected, pod, session_cluster

CLUSTERS_EACH: Final = 10
"""SessionClusters of one namespace."""


class Fleet(Struct, frozen=True):
    """The SessionClusters, by namespace and name, and how many pods each has."""

    clusters: tuple[tuple[str, str], ...]
    pods_each: int


def fleet_of(pods: int, clusters: int) -> Fleet:
    places = ((f"team-{number // CLUSTERS_EACH}", f"shop-{number}") for number in range(clusters))
    return Fleet(tuple(places), pods // clusters)


async def make(
    kube: Kube, fleet: Fleet, settings: InjectionSettings, chance: random.Random
) -> None:
    """Make it all: each pod injected and named, and with the Lease of its name."""
    for namespace in sorted({namespace for namespace, _ in fleet.clusters}):
        await make_namespace(kube, namespace)
    made: list[KubeObject] = []

    async def apply(place: tuple[str, str]) -> None:
        made.append(await kube.create(SESSION_CLUSTERS, session_cluster(*place)))

    async def start(one: KubeObject) -> None:
        worker = one["metadata"]["labels"][naming.WORKER]
        started = record_of(await kube.create(PODS, one))
        await kube.create(LEASES, lease_of(started, worker))

    await each(fleet.clusters, apply)
    made.sort(key=lambda one: str(one["metadata"]["name"]))
    await each(_pods(made, fleet.pods_each, settings, chance), start)


def _pods(
    clusters: list[KubeObject], count: int, settings: InjectionSettings, chance: random.Random
) -> Iterator[KubeObject]:
    for number in range(count):
        for cluster in clusters:
            name, namespace = cluster["metadata"]["name"], cluster["metadata"]["namespace"]
            bare = pod(namespace, f"{name}-5d4f8c7b9-{number:05d}", name, chance)
            whole = injected(bare, cluster, settings)
            whole["metadata"]["labels"] = {
                **whole["metadata"]["labels"],
                naming.WORKER: f"node{number}",
            }
            del whole["spec"]["schedulingGates"]
            yield whole


@contextlib.asynccontextmanager
async def checks_succeed(kube: Kube) -> AsyncIterator[None]:
    """End each check's Job well, as a kubelet and the controllers would."""
    succeeding = asyncio.create_task(_succeed(kube))
    try:
        yield
    finally:
        succeeding.cancel()
        await asyncio.wait({succeeding})


async def _succeed(kube: Kube) -> None:
    done: set[str] = set()
    while True:
        async for page in kube.pages(JOBS, labels=f"{naming.TASK}={naming.CHECK_TASK}"):
            for job in page["items"]:
                if job["metadata"]["uid"] not in done:
                    done.add(job["metadata"]["uid"])
                    await kube.apply(JOBS, _ended(job), subresource="status")
        await asyncio.sleep(0.5)


def _ended(job: KubeObject) -> dict[str, Any]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    times = {"lastProbeTime": now, "lastTransitionTime": now}
    return {
        "apiVersion": JOBS.api_version,
        "kind": JOBS.name,
        "metadata": {name: job["metadata"][name] for name in ("namespace", "name", "uid")},
        "status": {
            "startTime": now,
            "completionTime": now,
            "succeeded": 1,
            "conditions": [
                {"type": kind, "status": "True", **times}
                for kind in ("SuccessCriteriaMet", "Complete")
            ],
        },
    }
