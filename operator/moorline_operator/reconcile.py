"""Makes one SessionCluster so: children, Jobs, status. Level-triggered, and safe to repeat.

What is to be done follows from what the watches have seen. The only questions to the API server
are about the pods of Jobs, whose messages no watch brings.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import Final

import structlog
from moorline_api.errors import InvalidSpec
from moorline_api.status import SessionClusterStatus
from msgspec import Struct

from moorline_operator import naming
from moorline_operator.apply import Applier, Refusals
from moorline_operator.cluster import Cluster, cluster_of
from moorline_operator.container import data_folder, image_of
from moorline_operator.desired import (
    Child,
    check_fingerprint,
    check_job,
    desired_objects,
    purge_job,
)
from moorline_operator.errors import AlreadyExists, KubeError, NamespaceEnding
from moorline_operator.injection import fingerprint
from moorline_operator.kube.api import Kube, KubeObject
from moorline_operator.kube.kinds import (
    CONFIG_MAPS,
    CRON_JOBS,
    JOBS,
    SESSION_CLUSTERS,
)
from moorline_operator.picture import ClusterKey, Picture, Pods
from moorline_operator.recorder import Recorder, Subject
from moorline_operator.settings import InjectionSettings
from moorline_operator.status import (
    JobFacts,
    Observed,
    cron_facts,
    due_token,
    events_of,
    plan_checks,
    previous_status,
    status_object,
    status_of,
)
from moorline_operator.tasks import Tasks, jobs_of

STATUS_SECONDS: Final = 2.0
"""The shortest time between two writes of one status."""

UNDER_WAY_SECONDS: Final = 10.0
"""How often Jobs that are under way are looked at: no watch tells why a pod does not start."""

_log = structlog.get_logger()


class Outcome(Struct, frozen=True, kw_only=True):
    """What is left to do: look again after so many seconds though nothing changes, or None.

    `refusal` is what a person has to do something about; the status tells of it.
    """

    again: float | None = None
    refusal: KubeError | None = None


class _Plan(Struct, frozen=True):
    """What follows from a cluster alone, worked out once for all looks at it.

    `injected` and `checked` are the fingerprints of the same names in `Observed`.
    """

    cluster: Cluster
    children: Sequence[Child]
    injected: str
    checked: str


class Reconciler:
    """Reconciles clusters; what it remembers only saves requests.

    It also answers for the Namer whether a cluster's pods may start.
    """

    def __init__(  # noqa: PLR0913 - each is a part of what it puts together
        self,
        kube: Kube,
        settings: InjectionSettings,
        *,
        picture: Picture,
        pods: Pods,
        recorder: Recorder,
        on_ready: Callable[[str, str], None],
    ) -> None:
        self._kube = kube
        self._settings = settings
        self._picture = picture
        self._pods = pods
        self._recorder = recorder
        self._on_ready = on_ready
        self._applier = Applier(kube)
        self._tasks = Tasks(kube)
        self._ready: dict[ClusterKey, Cluster] = {}
        self._written: dict[ClusterKey, float] = {}
        self._workers: dict[ClusterKey, Mapping[str, int]] = {}
        self._plans: dict[ClusterKey, _Plan] = {}

    @property
    def workers(self) -> Mapping[ClusterKey, Mapping[str, int]]:
        """The counts of each cluster's status."""
        return self._workers

    def is_ready(self, namespace: str, cluster: str) -> bool:
        """Whether pods may start: the ConfigMap of this generation is there, nothing suspended."""
        key = namespace, cluster
        ready, now = self._ready.get(key), self._picture.cluster(key)
        if ready is None or now is None:
            return False
        metadata = now["metadata"]
        is_current = ready.generation == metadata["generation"] and ready.uid == metadata["uid"]
        return is_current and not ready.spec.suspend

    def prefix_of(self, namespace: str, cluster: str) -> str | None:
        ready = self._ready.get((namespace, cluster))
        return None if ready is None else ready.spec.workers.prefix

    async def reconcile(self, key: ClusterKey) -> Outcome:
        """Look at the cluster, and do what is to be done.

        Raises:
            KubeError: not all could be done, nor told; try again later.
        """
        obj = self._picture.cluster(key)
        if obj is None:
            self._forget(key)
            return Outcome()
        if "deletionTimestamp" in obj["metadata"]:
            return Outcome()
        try:
            return await self._look_at(self._plan(key, obj), obj)
        except InvalidSpec as error:
            mistakes = [f"{found.path}: {found.message}" for found in error.violations]
            return Outcome(again=await self._tell(obj, self._unreadable(obj, mistakes)))
        except NamespaceEnding:
            # The cluster goes with it, and whatever it has.
            return Outcome()

    def _plan(self, key: ClusterKey, obj: KubeObject) -> _Plan:
        before = self._plans.get(key)
        cluster = cluster_of(obj, None if before is None else before.cluster)
        if before is not None and before.cluster is cluster:
            return before
        plan = self._plans[key] = _Plan(
            cluster=cluster,
            children=desired_objects(cluster, self._settings),
            injected=fingerprint(cluster, self._settings),
            checked=check_fingerprint(cluster, self._settings),
        )
        return plan

    async def _look_at(self, plan: _Plan, obj: KubeObject) -> Outcome:
        cluster, refusals = plan.cluster, Refusals()
        if not cluster.spec.suspend:
            await self._children(cluster, plan.children, refusals)
        children = self._picture.children(cluster.key)
        jobs = await self._tasks.of(cluster, jobs_of(cluster, children))
        again = None
        if not cluster.spec.suspend:
            again = await self._run_tasks(cluster, obj, jobs, plan.checked, refusals)
        cron_job = children.get((CRON_JOBS, naming.purge_cron_job(cluster.name)))
        ready = self._ready.get(cluster.key)
        observed = Observed(
            namespace=cluster.namespace,
            name=cluster.name,
            generation=cluster.generation,
            now=datetime.now(UTC),
            previous=previous_status(obj),
            spec=cluster.spec,
            refusal="" if refusals.first is None else refusals.first.detail,
            config_generation=None if ready is None else ready.generation,
            pods=tuple(self._pods.of(cluster.key)),
            jobs=jobs,
            injected=plan.injected,
            checked=plan.checked,
            purge_token=_purge_token(cluster),
            cron=None if cron_job is None else cron_facts(cron_job),
            sidecar_image=image_of(cluster, self._settings),
        )
        later = await self._tell(obj, observed)
        return Outcome(again=_earliest(again, later), refusal=refusals.first)

    async def _children(
        self, cluster: Cluster, wanted: Sequence[Child], refusals: Refusals
    ) -> None:
        """Bring them up to date."""
        seen = self._picture.children(cluster.key)
        for child in wanted:
            there = seen.get((child.kind, child.obj["metadata"]["name"]))
            with refusals.of(child.kind):
                answer = await self._applier.apply(child, there)
                if answer is not None:
                    self._picture.see(child.kind, answer)
                if child.kind is CONFIG_MAPS:
                    self._mark_ready(cluster)
        with refusals.of(CONFIG_MAPS):
            await self._applier.remove_others(cluster.uid, wanted, seen)

    def _mark_ready(self, cluster: Cluster) -> None:
        before = self._ready.get(cluster.key)
        self._ready[cluster.key] = cluster
        if before is None or (before.uid, before.generation) != (cluster.uid, cluster.generation):
            self._on_ready(*cluster.key)

    async def _run_tasks(
        self,
        cluster: Cluster,
        obj: KubeObject,
        jobs: Iterable[JobFacts],
        checked: str,
        refusals: Refusals,
    ) -> float | None:
        """Create and delete Jobs; when to look again."""
        due = due_token(_purge_token(cluster), previous_status(obj).purge)
        if due and data_folder(cluster.spec.backend) is None:
            with refusals.of(JOBS):
                await self._create(purge_job(cluster, self._settings, due))
        plan = plan_checks(cluster.spec, checked, jobs, datetime.now(UTC))
        if plan.attempt is not None:
            with refusals.of(JOBS):
                await self._create(check_job(cluster, self._settings, plan.attempt, checked))
        for job in plan.outdated:
            there = self._picture.children(cluster.key).get((JOBS, job.name))
            if there is not None:
                with refusals.of(JOBS):
                    await self._applier.remove(JOBS, there)
        again = None if plan.again_after is None else plan.again_after.total_seconds()
        if any(job.ended is None for job in jobs):
            again = _earliest(again, UNDER_WAY_SECONDS)
        return again

    async def _create(self, job: KubeObject) -> None:
        try:
            self._picture.see(JOBS, await self._kube.create(JOBS, job))
        except AlreadyExists:
            return

    async def _tell(self, obj: KubeObject, observed: Observed) -> float | None:
        """Write the status if it changed; in how many seconds it can be written otherwise."""
        key = observed.namespace, observed.name
        status = status_of(observed)
        self._workers[key] = _counts(status)
        if status_object(status) == status_object(observed.previous):
            return None
        wait = self._written.get(key, float("-inf")) + STATUS_SECONDS - monotonic()
        if wait > 0:
            return wait
        answer = await self._kube.apply(
            SESSION_CLUSTERS, _with_status(obj, status), subresource="status"
        )
        self._written[key] = monotonic()
        self._picture.see(SESSION_CLUSTERS, answer)
        subject = Subject(
            namespace=observed.namespace, name=observed.name, uid=obj["metadata"]["uid"]
        )
        await self._recorder.record(subject, events_of(observed.previous, status))
        return None

    def _unreadable(self, obj: KubeObject, mistakes: list[str]) -> Observed:
        """What is known of a cluster whose spec cannot be read."""
        metadata = obj["metadata"]
        return Observed(
            namespace=metadata["namespace"],
            name=metadata["name"],
            generation=metadata["generation"],
            now=datetime.now(UTC),
            previous=previous_status(obj),
            spec=None,
            mistakes=mistakes,
            pods=tuple(self._pods.of((metadata["namespace"], metadata["name"]))),
        )

    def _forget(self, key: ClusterKey) -> None:
        self._ready.pop(key, None)
        self._written.pop(key, None)
        self._workers.pop(key, None)
        self._plans.pop(key, None)
        self._tasks.forget(key)


def _purge_token(cluster: Cluster) -> str:
    return "" if cluster.spec.suspend else cluster.annotations.get(naming.PURGE_NOW, "")


def _with_status(obj: KubeObject, status: SessionClusterStatus) -> KubeObject:
    metadata = obj["metadata"]
    return {
        "apiVersion": SESSION_CLUSTERS.api_version,
        "kind": SESSION_CLUSTERS.name,
        # With the UID: another cluster of that name gets no status of this one.
        "metadata": {name: metadata[name] for name in ("namespace", "name", "uid")},
        "status": status_object(status),
    }


def _counts(status: SessionClusterStatus) -> Mapping[str, int]:
    workers = status_object(status).get("workers", {})
    return {name: count for name, count in workers.items() if isinstance(count, int)}


def _earliest(*seconds: float | None) -> float | None:
    return min((each for each in seconds if each is not None), default=None)
