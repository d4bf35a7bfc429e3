"""What the Jobs of a cluster did: their own status, and the last word of their pods."""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Protocol

from moorline_operator import naming
from moorline_operator.cluster import Cluster
from moorline_operator.desired import is_owned
from moorline_operator.kube.api import KubeObject
from moorline_operator.kube.kinds import CRON_JOBS, JOBS, PODS, Kind
from moorline_operator.picture import ChildKey, ClusterKey
from moorline_operator.status import JobFacts, job_facts


class Reader(Protocol):
    """What of the API server is needed here."""

    def pages(
        self, kind: Kind, namespace: str = "", *, labels: str = ""
    ) -> AsyncIterator[KubeObject]: ...


class Tasks:
    """Reads the facts of Jobs; of one that has ended only once."""

    def __init__(self, kube: Reader) -> None:
        self._kube = kube
        self._ended: dict[ClusterKey, dict[str, JobFacts]] = {}

    async def of(self, cluster: Cluster, jobs: Iterable[KubeObject]) -> tuple[JobFacts, ...]:
        """The facts of the cluster's Jobs.

        Raises:
            KubeError: their pods cannot be listed.
        """
        there = {job["metadata"]["uid"]: job for job in jobs}
        known = self._ended.get(cluster.key, {})
        read = await self._read(cluster, [job for uid, job in there.items() if uid not in known])
        facts = {uid: job for uid, job in known.items() if uid in there}
        facts.update({job.uid: job for job in read})
        self._ended[cluster.key] = {uid: job for uid, job in facts.items() if job.ended is not None}
        return tuple(facts.values())

    def forget(self, key: ClusterKey) -> None:
        self._ended.pop(key, None)

    async def _read(self, cluster: Cluster, jobs: list[KubeObject]) -> list[JobFacts]:
        if not jobs:
            return []
        labels = f"{naming.SESSION_CLUSTER}={cluster.name},{naming.TASK}"
        pods = [
            pod
            async for page in self._kube.pages(PODS, cluster.namespace, labels=labels)
            for pod in page["items"]
        ]
        return [job_facts(job, pods) for job in jobs]


def jobs_of(cluster: Cluster, children: Mapping[ChildKey, KubeObject]) -> list[KubeObject]:
    """The Jobs among the children that were made for this very cluster.

    Labels are no proof: anybody can write them, and one before may have had the same name.
    """
    uids = [cluster.uid]
    cron_job = children.get((CRON_JOBS, naming.purge_cron_job(cluster.name)))
    if cron_job is not None and is_owned(cron_job, cluster.uid):
        uids.append(cron_job["metadata"]["uid"])
    return [
        obj
        for (kind, _), obj in children.items()
        if kind is JOBS and any(is_owned(obj, uid) for uid in uids)
    ]
