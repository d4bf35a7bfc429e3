"""Gives each gated pod its worker name. Runs in the leader only.

Level-triggered: what is to be done for a pod follows from its record and from what the API server
says, never from what was done before. So any request may fail, and the process may end anywhere.
"""

import asyncio
import random
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Final, Protocol, TypeAlias

import structlog

from moorline_operator.errors import Forbidden, Invalid, KubeError, NamespaceEnding, NotFound
from moorline_operator.kube.api import KubeObject
from moorline_operator.pods import PodRecord
from moorline_operator.workers.claims import (
    Api,
    claim,
    give_back,
    holder_of,
    label,
    reread,
    worker_of,
)
from moorline_operator.workers.numbering import Names
from moorline_operator.workqueue import WorkQueue

IN_FLIGHT: Final = 16
"""Pods worked on at a time: enough for 50 names a second where a request takes 100 ms."""

FIRST_RETRY_SECONDS: Final = 0.25
LONGEST_RETRY_SECONDS: Final = 30.0

ClusterKey: TypeAlias = tuple[str, str]
"""Namespace and name of a SessionCluster."""

_WORKER: Final = re.compile(r"[a-z0-9]{1,63}")

_ADVICE: Final[dict[type[KubeError], str]] = {
    Forbidden: "the operator may not name pods here: see its Role and the admission policies",
    Invalid: "the API server or an admission policy refuses the worker name",
}

_log = structlog.get_logger()


class Clusters(Protocol):
    """What is known of the SessionClusters."""

    def is_ready(self, namespace: str, cluster: str) -> bool:
        """Whether pods may start: the ConfigMap of this generation is there, nothing suspended."""

    def prefix_of(self, namespace: str, cluster: str) -> str | None:
        """What its worker names begin with; None while it is not known."""


class Meter(Protocol):
    """Where it is counted."""

    def named(self, seconds: float) -> None:
        """A pod got its name, that long after it was first seen."""


@dataclass
class _Pod:
    record: PodRecord
    seen_at: float
    leases: set[str] = field(default_factory=set)
    """Names whose Leases are known to be the pod's, or may be."""
    is_named: bool = False
    """Labelled by us; the watch may still tell of the time before."""
    failures: int = 0


class Namer:
    """Names pods as they are seen.

    `start` takes each Lease that there is, then come the pods, then `run`: a name is given only
    once every pod that may have one is known. `now` is a monotonic clock, in seconds.
    """

    def __init__(
        self,
        api: Api,
        clusters: Clusters,
        meter: Meter,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._api = api
        self._clusters = clusters
        self._meter = meter
        self._now = now
        self._pods: dict[str, _Pod] = {}
        self._names: defaultdict[ClusterKey, Names] = defaultdict(Names)
        self._listed: defaultdict[str, set[tuple[ClusterKey, str]]] = defaultdict(set)
        self._parked: defaultdict[ClusterKey, set[str]] = defaultdict(set)
        self._queue: WorkQueue[str] = WorkQueue(now)
        self._reported: set[tuple[str, type[KubeError]]] = set()

    @property
    def waiting(self) -> int:
        """Pods that have no name yet, for whatever reason."""
        return sum(pod.record.wants_name and not pod.is_named for pod in self._pods.values())

    @property
    def duplicates(self) -> int:
        """Names that more than one live pod is labelled with; only people make them."""
        labelled: defaultdict[tuple[ClusterKey, str], int] = defaultdict(int)
        for pod in self._pods.values():
            if pod.record.is_live and pod.record.worker:
                labelled[_key(pod.record), pod.record.worker] += 1
        return sum(count > 1 for count in labelled.values())

    def start(self, lease: KubeObject) -> None:
        """Take over what an earlier leader gave out: a Lease with the label of a cluster."""
        made_for, holder = worker_of(lease), holder_of(lease)
        if made_for is not None and holder:
            cluster, worker = made_for
            key = lease["metadata"]["namespace"], cluster
            self._names[key].hold(worker, holder)
            self._listed[holder].add((key, worker))

    def pod_seen(self, record: PodRecord) -> None:
        """A pod is new or changed. Pods without a cluster are no concern of ours."""
        if not record.cluster:
            return
        key, pod = _key(record), self._pods.get(record.uid)
        if pod is None:
            pod = self._pods[record.uid] = _Pod(record, self._now())
            for _, worker in filter(lambda listed: listed[0] == key, self._listed[record.uid]):
                self._names[key].hold(worker, record.uid)
                pod.leases.add(worker)
            del self._listed[record.uid]
        if record.worker and record.is_live:
            self._hold_label(record, pod.record if pod.record.worker else None)
        pod.record = record
        if self._is_due(pod):
            self._queue.add(record.uid)

    def pod_gone(self, record: PodRecord) -> None:
        """A pod is no more, or belongs to another cluster. Its Leases are garbage by that."""
        key = _key(record)
        self._pods.pop(record.uid, None)
        self._parked.get(key, set()).discard(record.uid)
        self._release(key, record.uid)

    def cluster_changed(self, namespace: str, cluster: str) -> None:
        """A SessionCluster may have become ready: look again at the pods that wait for it."""
        for uid in self._parked.pop((namespace, cluster), ()):
            self._queue.add(uid)

    async def run(self) -> None:
        """Give names until cancelled.

        Raises:
            ExceptionGroup: of what the requests raised, other than a KubeError.
        """
        for uid, listed in self._listed.items():
            for key, _ in listed:
                self._names[key].release(uid, self._now())
        async with asyncio.TaskGroup() as tasks:
            for _ in range(IN_FLIGHT):
                tasks.create_task(self._work())

    async def _work(self) -> None:
        while True:
            uid = await self._queue.take()
            pod = self._pods.get(uid)
            try:
                if pod is not None:
                    await self._settle(pod)
                    self._succeeded(pod)
            except NamespaceEnding:
                # The pod goes with it.
                continue
            except KubeError as error:
                if pod is not None:
                    self._queue.add(uid, self._failed(pod, error))
            finally:
                self._queue.finished(uid)
                if pod is not None and self._pods.get(uid) is not pod:
                    # It went while we gave it a name.
                    self._release(_key(pod.record), uid)

    def _is_due(self, pod: _Pod) -> bool:
        record = pod.record
        if not record.is_live:
            return bool(pod.leases)
        if record.wants_name:
            return not pod.is_named
        return self._lacks_lease(pod)

    def _lacks_lease(self, pod: _Pod) -> bool:
        worker = pod.record.worker
        return worker not in pod.leases and _WORKER.fullmatch(worker) is not None

    async def _settle(self, pod: _Pod) -> None:
        """Do for the pod whatever is to be done."""
        if not self._is_due(pod):
            return
        if not pod.record.is_live:
            for worker in tuple(pod.leases):
                await self._give_back(pod, worker)
        elif pod.record.wants_name:
            await self._name(pod)
        else:
            await self._restore(pod)

    async def _name(self, pod: _Pod) -> None:
        record = pod.record
        key = _key(record)
        prefix = self._clusters.prefix_of(*key)
        if prefix is None or not self._clusters.is_ready(*key):
            self._parked[key].add(record.uid)
            return
        worker = await self._claimed(pod, prefix)
        try:
            await label(self._api, record, worker)
        except (Invalid, NotFound) as error:
            await self._reconsider(pod, record, worker, error)
            return
        pod.is_named = True
        self._meter.named(self._now() - pod.seen_at)
        _log.info("worker named", namespace=record.namespace, pod=record.name, worker=worker)

    async def _claimed(self, pod: _Pod, prefix: str) -> str:
        """A name whose Lease is the pod's; the one it had before if there is one."""
        record = pod.record
        names = self._names[_key(record)]
        refused: set[str] = set()
        while True:
            held = [name for name in names.names_of(record.uid) if _WORKER.fullmatch(name)]
            held.sort(key=lambda name: name not in pod.leases)
            worker = held[0] if held else names.next(prefix, record.ordinal, self._now(), refused)
            names.hold(worker, record.uid)
            # It may be the pod's from now on, even if we never get to know.
            pod.leases.add(worker)
            if await claim(self._api, record, worker):
                return worker
            refused.add(worker)
            pod.leases.discard(worker)
            names.drop(worker, record.uid, self._now())
            names.rest(worker, self._now())

    async def _reconsider(
        self, pod: _Pod, before: PodRecord, worker: str, error: KubeError
    ) -> None:
        """The pod was not as we thought: try again, or leave it if it needs no name any more."""
        current = await reread(self._api, before)
        if current == before:
            raise error
        if current is not None and current.wants_name:
            pod.record = current
            self._queue.add(before.uid)
            return
        if current is None or current.worker != worker:
            await self._give_back(pod, worker)
        pod.is_named = current is not None and bool(current.worker)

    async def _restore(self, pod: _Pod) -> None:
        """Make sure that a named pod has its Lease: somebody may have deleted it."""
        worker = pod.record.worker
        if not await claim(self._api, pod.record, worker):
            _log.error("worker name is another pod's", **_told(pod.record, worker))
        pod.leases.add(worker)

    async def _give_back(self, pod: _Pod, worker: str) -> None:
        await give_back(self._api, pod.record, worker)
        pod.leases.discard(worker)
        self._names[_key(pod.record)].drop(worker, pod.record.uid, self._now())

    def _hold_label(self, record: PodRecord, before: PodRecord | None) -> None:
        names = self._names[_key(record)]
        if before is None or before.worker != record.worker:
            others = names.holders(record.worker) - {record.uid}
            labelled = [self._pods[uid].record for uid in others if uid in self._pods]
            same = [pod.name for pod in labelled if pod.worker == record.worker]
            if same:
                _log.error("two pods have one worker name", also=same, **_told(record))
        names.hold(record.worker, record.uid)

    def _release(self, key: ClusterKey, uid: str) -> None:
        names = self._names[key]
        freed = names.names_of(uid)
        names.release(uid, self._now())
        for name in freed:
            for other in names.holders(name):
                # Its label is the same, and the Lease was not its own.
                pod = self._pods.get(other)
                if pod is not None and pod.record.worker == name:
                    pod.leases.discard(name)
                    self._queue.add(other)

    def _succeeded(self, pod: _Pod) -> None:
        pod.failures = 0
        namespace = pod.record.namespace
        self._reported = {entry for entry in self._reported if entry[0] != namespace}

    def _failed(self, pod: _Pod, error: KubeError) -> float:
        """Seconds until the next attempt. Said once a namespace, until something succeeds there."""
        entry = pod.record.namespace, type(error)
        if entry not in self._reported:
            self._reported.add(entry)
            advice = _ADVICE.get(type(error), "naming is tried again")
            _log.warning(advice, reason=str(error), **_told(pod.record))
        pause: float = FIRST_RETRY_SECONDS * 2 ** min(pod.failures, 16)
        pod.failures += 1
        jitter = random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        return min(pause, LONGEST_RETRY_SECONDS) * jitter


def _key(record: PodRecord) -> ClusterKey:
    return record.namespace, record.cluster


def _told(record: PodRecord, worker: str = "") -> dict[str, str]:
    return {
        "namespace": record.namespace,
        "pod": record.name,
        "cluster": record.cluster,
        "worker": worker or record.worker,
    }
