"""What only the leader does: children, worker names, status."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic
from typing import Final, Protocol

import structlog

from moorline_operator import naming
from moorline_operator.errors import Expired, KubeError, LeadershipLost, NotFound
from moorline_operator.handlers import CHILD_KINDS, Watching
from moorline_operator.kube.api import Kube, KubeObject
from moorline_operator.kube.kinds import LEASES, POD_MONITORS, PODS, SESSION_CLUSTERS, Kind
from moorline_operator.kube.reflector import Reflector
from moorline_operator.picture import ClusterKey, Picture, Pods
from moorline_operator.pods import PodRecord, PodShape
from moorline_operator.reconcile import Outcome, Reconciler
from moorline_operator.recorder import Recorder
from moorline_operator.settings import Identity, Settings
from moorline_operator.telemetry import Telemetry, Values
from moorline_operator.workers.namer import Namer
from moorline_operator.workqueue import WorkQueue

RECONCILERS: Final = 8
"""How many SessionClusters are looked at at a time."""

GATHER_SECONDS: Final = 0.5
"""Changes of pods are looked at together: a rollout changes hundreds within seconds."""

RESYNC_SECONDS: Final = 600.0
"""Everything is read and looked at anew this often, should a watch ever have missed something."""

REREAD_SECONDS: Final = 5.0
"""To the next attempt at that, where it failed."""

_log = structlog.get_logger()


class Leader:
    """One term of leadership."""

    def __init__(
        self, kube: Kube, settings: Settings, identity: Identity, telemetry: Telemetry
    ) -> None:
        self._kube = kube
        self._settings = settings
        self._telemetry = telemetry
        self._namespaces = settings.watch_namespaces or ("",)
        self._picture = Picture()
        self._queue: WorkQueue[ClusterKey] = WorkQueue()
        self._pods = Pods(self._pod_seen, self._pod_gone)
        recorder = Recorder(kube, instance=identity.pod, now=lambda: datetime.now(UTC))
        self._reconciler = Reconciler(
            kube,
            settings.injection,
            picture=self._picture,
            pods=self._pods,
            recorder=recorder,
            on_ready=self._cluster_ready,
        )
        self._namer = Namer(kube, self._reconciler, telemetry)
        self._reflectors = [
            Reflector(
                kube,
                PODS,
                self._pods,
                namespace=namespace,
                labels=naming.CLUSTER,
                shape=PodShape,
            )
            for namespace in self._namespaces
        ]
        # kopf may watch the operator's own Lease only where it may watch its namespace.
        sees_lease = "" in self._namespaces or identity.namespace in self._namespaces
        self._lease = settings.election.lease if sees_lease else ""
        self._heard = monotonic()
        self._has_gaps = asyncio.Event()
        self._child_kinds: tuple[Kind, ...] = CHILD_KINDS

    def silences(self) -> Iterator[tuple[str, float]]:
        """Each watch, and the seconds since anything was heard of it."""
        if self._lease:
            yield "kopf", monotonic() - self._heard
        for reflector in self._reflectors:
            yield "pods", reflector.silence_seconds

    def workers(self) -> Values:
        for (namespace, cluster), counts in self._reconciler.workers.items():
            for state, count in counts.items():
                yield count, {"namespace": namespace, "cluster": cluster, "state": state}

    def queue(self) -> Values:
        yield len(self._queue), {}

    async def run(self) -> None:
        """Lead until cancelled.

        Raises:
            KubeError: what there is could not be listed at the start.
            ExceptionGroup: of what any part raised; the others are cancelled then.
        """
        if await self._has_pod_monitors():
            self._child_kinds = (*CHILD_KINDS, POD_MONITORS)
        watching = Watching(
            self._seen,
            namespaces=self._settings.watch_namespaces,
            lease=self._lease,
            kinds=self._child_kinds,
        )
        # Before any pod: who has a name keeps it.
        async for lease in self._all(LEASES, naming.CLUSTER):
            self._namer.start(lease)
        self._heard = monotonic()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(watching.run())
            for reflector in self._reflectors:
                tasks.create_task(reflector.run())
            tasks.create_task(self._name())
            tasks.create_task(self._resync())
            for _ in range(RECONCILERS):
                tasks.create_task(self._look_after())

    def _seen(self, kind: Kind, obj: KubeObject, event: str | None) -> None:
        if event is None:
            self._has_gaps.set()
        if kind is LEASES:
            self._heard = monotonic()
            return
        note = self._picture.forget if event == "DELETED" else self._picture.see
        key = note(kind, obj)
        if key is not None:
            self._queue.add(key)

    def _pod_seen(self, record: PodRecord) -> None:
        self._namer.pod_seen(record)
        self._queue.add((record.namespace, record.cluster), GATHER_SECONDS)

    def _pod_gone(self, record: PodRecord) -> None:
        self._namer.pod_gone(record)
        self._queue.add((record.namespace, record.cluster), GATHER_SECONDS)

    def _cluster_ready(self, namespace: str, cluster: str) -> None:
        self._namer.cluster_changed(namespace, cluster)

    async def _name(self) -> None:
        """Name pods, once all that there are are known."""
        await self._pods_known()
        await self._namer.run()

    async def _look_after(self) -> None:
        """Look at clusters, once all pods are known: a status that counts some of them is wrong."""
        await self._pods_known()
        await look_after(self._queue, self._reconciler.reconcile, self._telemetry.reconciled)

    async def _pods_known(self) -> None:
        for reflector in self._reflectors:
            await reflector.synced()

    async def _resync(self) -> None:
        """See to it that the picture is whole: after a gap, and once in a while."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(RESYNC_SECONDS):
                    await self._has_gaps.wait()
            # A broken connection makes gaps in all watches.
            await asyncio.sleep(GATHER_SECONDS)
            self._has_gaps.clear()
            before = self._picture.clusters()
            try:
                await self._read_anew()
            except KubeError as error:
                _log.warning("cannot read everything anew", reason=str(error))
                self._has_gaps.set()
                await asyncio.sleep(REREAD_SECONDS)
            for key in {*before, *self._picture.clusters()}:
                self._queue.add(key)

    async def _read_anew(self) -> None:
        kinds = {SESSION_CLUSTERS: "", **dict.fromkeys(self._child_kinds, naming.CHILDREN)}
        for kind, selector in kinds.items():
            before = self._picture.all(kind)
            self._picture.replace(kind, before, [obj async for obj in self._all(kind, selector)])

    async def _all(self, kind: Kind, labels: str) -> AsyncIterator[KubeObject]:
        for namespace in self._namespaces:
            async for page in self._kube.pages(kind, namespace, labels=labels):
                for obj in page["items"]:
                    yield obj

    async def _has_pod_monitors(self) -> bool:
        try:
            async for _ in self._kube.pages(POD_MONITORS, self._namespaces[0], limit=1):
                break
        except (NotFound, Expired):
            return False
        return True


class _Meter(Protocol):
    def __call__(self, seconds: float, *, is_good: bool) -> None: ...


async def look_after(
    queue: WorkQueue[ClusterKey],
    reconcile: Callable[[ClusterKey], Awaitable[Outcome]],
    meter: _Meter,
) -> None:
    """Look at one cluster after the other, for ever.

    What goes wrong with one keeps no other from being looked at, for whoever may write into one
    namespace is not to stop the operator in all.

    Raises:
        LeadershipLost: nothing more may be written.
    """
    while True:
        key = await queue.take()
        begun = monotonic()
        outcome = Outcome()
        trouble: Exception | None
        try:
            outcome = await reconcile(key)
            trouble = outcome.refusal
        except LeadershipLost:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            trouble = error
        meter(monotonic() - begun, is_good=trouble is None)
        if trouble is None:
            queue.finished(key)
        else:
            _tell(key, trouble, queue.failed(key))
        if outcome.again is not None:
            queue.add(key, outcome.again)


def _tell(key: ClusterKey, trouble: Exception, again_seconds: float) -> None:
    facts = {"namespace": key[0], "cluster": key[1], "again_seconds": again_seconds}
    if isinstance(trouble, KubeError):
        _log.warning("not all is as it should be", reason=str(trouble), **facts)
    else:
        _log.error("a mistake in the operator", exc_info=trouble, **facts)
