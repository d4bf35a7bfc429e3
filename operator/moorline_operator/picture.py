"""What the leader has seen of the cluster: SessionClusters, their children, their pods.

Fed by watches, read by `reconcile`. Nothing here asks the API server.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

from moorline_operator import naming
from moorline_operator.kube.api import KubeObject
from moorline_operator.kube.kinds import SESSION_CLUSTERS, Kind
from moorline_operator.pods import PodRecord, record_of

ClusterKey: TypeAlias = tuple[str, str]
"""Namespace and name of a SessionCluster."""

ChildKey: TypeAlias = tuple[Kind, str]
"""Kind and name of a child, in the namespace of its cluster."""

_NONE: Final[Mapping[ChildKey, KubeObject]] = {}


class Picture:
    """SessionClusters and their children as they were last seen, by the cluster's key."""

    def __init__(self) -> None:
        self._clusters: dict[ClusterKey, KubeObject] = {}
        self._children: defaultdict[ClusterKey, dict[ChildKey, KubeObject]] = defaultdict(dict)

    def clusters(self) -> Iterable[ClusterKey]:
        return tuple(self._clusters)

    def cluster(self, key: ClusterKey) -> KubeObject | None:
        return self._clusters.get(key)

    def children(self, key: ClusterKey) -> Mapping[ChildKey, KubeObject]:
        return self._children.get(key, _NONE)

    def see(self, kind: Kind, obj: KubeObject) -> ClusterKey | None:
        """The key of the cluster that it concerns, if it concerns one."""
        key = _cluster_of(kind, obj)
        if key is None:
            return None
        if kind is SESSION_CLUSTERS:
            self._clusters[key] = obj
        else:
            self._children[key][kind, obj["metadata"]["name"]] = obj
        return key

    def forget(self, kind: Kind, obj: KubeObject) -> ClusterKey | None:
        """As `see`, for an object that is gone."""
        key = _cluster_of(kind, obj)
        if key is None:
            return None
        if kind is SESSION_CLUSTERS:
            self._clusters.pop(key, None)
        else:
            self._children[key].pop((kind, obj["metadata"]["name"]), None)
            if not self._children[key]:
                del self._children[key]
        return key

    def replace(self, kind: Kind, objects: Iterable[KubeObject]) -> None:
        """See these, and forget all others of the kind."""
        there = list(objects)
        uids = {obj["metadata"]["uid"] for obj in there}
        for obj in self._all(kind):
            if obj["metadata"]["uid"] not in uids:
                self.forget(kind, obj)
        for obj in there:
            self.see(kind, obj)

    def _all(self, kind: Kind) -> list[KubeObject]:
        if kind is SESSION_CLUSTERS:
            return list(self._clusters.values())
        return [
            obj
            for children in self._children.values()
            for (of_kind, _), obj in children.items()
            if of_kind is kind
        ]


def _cluster_of(kind: Kind, obj: KubeObject) -> ClusterKey | None:
    metadata = obj["metadata"]
    if kind is SESSION_CLUSTERS:
        return metadata["namespace"], metadata["name"]
    name = metadata.get("labels", {}).get(naming.SESSION_CLUSTER)
    return None if name is None else (metadata["namespace"], name)


class Pods:
    """The records of pods, a sink for their watch; `seen` and `gone` are told of each change."""

    def __init__(
        self,
        seen: Callable[[PodRecord], None],
        gone: Callable[[PodRecord], None],
    ) -> None:
        self._seen = seen
        self._gone = gone
        self._records: dict[str, PodRecord] = {}
        self._by_cluster: defaultdict[ClusterKey, dict[str, PodRecord]] = defaultdict(dict)

    def __len__(self) -> int:
        return len(self._records)

    def of(self, key: ClusterKey) -> Iterable[PodRecord]:
        return tuple(self._by_cluster.get(key, {}).values())

    def changed(self, obj: KubeObject) -> None:
        record = record_of(obj)
        before = self._records.get(record.uid)
        if before == record:
            return
        if before is not None and before.cluster != record.cluster:
            self._drop(before)
        self._records[record.uid] = record
        self._by_cluster[record.namespace, record.cluster][record.uid] = record
        self._seen(record)

    def removed(self, obj: KubeObject) -> None:
        record = self._records.get(obj["metadata"]["uid"])
        if record is not None:
            self._drop(record)

    def listed(self, uids: frozenset[str]) -> None:
        for record in [self._records[uid] for uid in self._records.keys() - uids]:
            self._drop(record)

    def _drop(self, record: PodRecord) -> None:
        del self._records[record.uid]
        key = record.namespace, record.cluster
        del self._by_cluster[key][record.uid]
        if not self._by_cluster[key]:
            del self._by_cluster[key]
        self._gone(record)
