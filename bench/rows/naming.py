"""Worker names for two hundred pods at once: of pods that wait for theirs, and of a rollout."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Final

from moorline_operator import naming
from moorline_operator.errors import NotFound
from moorline_operator.kube.api import Kube, KubeObject
from moorline_operator.kube.kinds import PODS, SESSION_CLUSTERS
from moorline_operator.pods import record_of
from msgspec import Struct

from bench.cluster import administrator, cluster, define, make_namespace
from bench.errors import BenchError
from bench.figures import figure, percentile
from bench.polling import until
from bench.processes import cpu_seconds
from bench.release import Operator, install, replica, until_leading
from bench.results import Row, Unit, at_most
from bench.settings import Settings
from bench.stage import chance_of, say
from bench.workload import each, pod, session_cluster

PODS_AT_ONCE: Final = 200
QUICK_PODS: Final = 50
DEADLINE_SECONDS: Final = 90.0
CLUSTER: Final = "shop"


class Named(Struct, frozen=True):
    """When pods were seen with their names, by time.monotonic, and what the operator spent."""

    begun: float
    seen: dict[str, float]
    cpu_seconds: float

    @property
    def seconds(self) -> float:
        """To the last name."""
        return max(self.seen.values()) - self.begun


class Rollout(Struct, frozen=True):
    """Pods made while names are given: seconds until all are made, and each pod's own wait."""

    named: Named
    made_seconds: float
    waits: list[float]


class Crowds:
    """Crowds of `count` pods, each in a namespace and SessionCluster of its own."""

    def __init__(self, settings: Settings, kube: Kube, operator: Operator, count: int) -> None:
        self._settings = settings
        self._kube = kube
        self._operator = operator
        self._count = count

    async def gated(self, namespace: str) -> Named:
        """All pods are there and wait, as the cluster is suspended; from its release on."""
        await self._prepare(namespace, is_suspended=True)
        await each(self._pods(namespace), lambda one: self._kube.create(PODS, one))
        await self._until_status(namespace, "selected", self._count)
        release = [{"op": "replace", "path": "/spec/suspend", "value": False}]
        say(f"{namespace}: {self._count} pods that wait")
        return await self._named(
            namespace,
            lambda: self._kube.json_patch(SESSION_CLUSTERS, namespace, CLUSTER, release),
        )

    async def rollout(self, namespace: str) -> Rollout:
        """No pod is there; from the first request that makes one on."""
        await self._prepare(namespace, is_suspended=False)
        sent: dict[str, float] = {}
        made = 0.0

        async def make(one: KubeObject) -> None:
            nonlocal made
            sent[one["metadata"]["name"]] = time.monotonic()
            await self._kube.create(PODS, one)
            made = time.monotonic()

        say(f"{namespace}: {self._count} pods that are made")
        named = await self._named(namespace, lambda: each(self._pods(namespace), make))
        waits = [at - sent[name] for name, at in named.seen.items()]
        return Rollout(named, made - named.begun, waits)

    async def _prepare(self, namespace: str, *, is_suspended: bool) -> None:
        await make_namespace(self._kube, namespace)
        # Nothing but names: a check of the backend would wait for a kubelet.
        spec = {"backend": {"type": "Memory"}, "suspend": is_suspended}
        await self._kube.create(SESSION_CLUSTERS, session_cluster(namespace, CLUSTER, spec))
        await self._until_status(namespace, "selected", 0)

    def _pods(self, namespace: str) -> list[KubeObject]:
        chance = chance_of(self._settings, namespace)
        return [pod(namespace, f"web-{n}", CLUSTER, chance) for n in range(self._count)]

    async def _until_status(self, namespace: str, of_workers: str, value: int) -> None:
        async def is_so() -> bool:
            with suppress(KeyError, NotFound):
                found = await self._kube.get(SESSION_CLUSTERS, namespace, CLUSTER)
                return bool(found["status"]["workers"][of_workers] == value)
            return False

        await until(is_so, f"{namespace}: the status does not tell of {value} pods")

    async def _named(self, namespace: str, begin: Callable[[], Awaitable[object]]) -> Named:
        first = await anext(self._kube.pages(PODS, namespace, limit=1))
        version = first["metadata"]["resourceVersion"]
        watching = asyncio.create_task(self._names(namespace, version))
        spent, begun = cpu_seconds(self._operator.pid), time.monotonic()
        await begin()
        seen = await watching
        return Named(begun, seen, cpu_seconds(self._operator.pid) - spent)

    async def _names(self, namespace: str, version: str) -> dict[str, float]:
        """When each pod was first seen with a name of its own and without its gate."""
        seen: dict[str, float] = {}
        workers: set[str] = set()
        async with asyncio.timeout(DEADLINE_SECONDS):
            async for event in self._kube.watch(
                PODS, namespace, labels=naming.WORKER, since=version
            ):
                if event["type"] == "BOOKMARK":
                    continue
                record = record_of(event["object"])
                if record.worker and record.gate is None:
                    seen.setdefault(record.name, time.monotonic())
                    workers.add(record.worker)
                if len(seen) == self._count:
                    break
        if len(workers) != self._count:
            raise BenchError(f"{self._count} pods have {len(workers)} names")
        return seen


def measure(settings: Settings) -> Iterator[Row]:
    count = settings.sized(PODS_AT_ONCE, QUICK_PODS)
    gated, rollouts = asyncio.run(_crowds(settings, count))
    yield Row(
        name="naming",
        what=f"{count} gated pods at once: to the last name",
        against="",
        target=at_most(4, Unit.SECONDS),
        value=figure([named.seconds for named in gated]),
        ours=f"{count / figure([named.seconds for named in gated]).median:.0f} names a second, "
        f"{_cpu_ms(gated, count):.1f} ms of the operator's CPU each",
    )
    waits = sorted(wait for rollout in rollouts for wait in rollout.waits)
    made = figure([rollout.made_seconds for rollout in rollouts])
    yield Row(
        name="naming-rollout",
        what=f"{count} pods that are made at once: from the first request to the last name",
        against="",
        target=at_most(4, Unit.SECONDS),
        value=figure([rollout.named.seconds for rollout in rollouts]),
        ours=f"made and injected within {made.median:.2f} s, "
        f"{_cpu_ms([rollout.named for rollout in rollouts], count):.1f} ms of CPU each; "
        f"a pod's own wait p50 {percentile(waits, 0.5):.2f} s, p99 {percentile(waits, 0.99):.2f} s",
    )


def _cpu_ms(crowds: list[Named], count: int) -> float:
    return figure([named.cpu_seconds / count * 1e3 for named in crowds]).median


async def _crowds(settings: Settings, count: int) -> tuple[list[Named], list[Rollout]]:
    gated: list[Named] = []
    rollouts: list[Rollout] = []
    with cluster(settings) as ours:
        async with administrator(ours.kubeconfig) as kube:
            await define(kube)
            release = await install(settings, ours, kube)
            with replica(settings, release) as operator:
                await until_leading(kube, release, operator)
                crowds = Crowds(settings, kube, operator, count)
                for number in range(settings.rounds):
                    gated.append(await crowds.gated(f"gated-{number}"))
                    rollouts.append(await crowds.rollout(f"rollout-{number}"))
    return gated, rollouts
