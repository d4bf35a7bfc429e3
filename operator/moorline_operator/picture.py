"""What the leader has seen of the cluster: SessionClusters, their children, their pods.

Fed by watches, read by `reconcile`. Nothing here asks the API server.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

from moorline_api.model import KIND

from moorline_operator import naming
from moorline_operator.kube.api import KubeObject
from moorline_operator.kube.kinds import SESSION_CLUSTERS, Kind
from moorline_operator.pods import PodRecord, record_of

ClusterKey: TypeAlias = tuple[str, str]
"""Namespace and name of a SessionCluster."""

ChildKey: TypeAlias = tuple[Kind, str]
"""Kind and name of a child, in the namespace of its cluster."""

GONE: Final = 10_000
"""Objects that are remembered to be gone, the latest; some 200 bytes each."""

_NONE: Final[Mapping[ChildKey, KubeObject]] = {}


class Picture:
    """SessionClusters and their children as they were last seen, by the cluster's key.

    What is seen comes from watches, from lists and from the answers to writes, in no order. So
    what is older than what is known, by its resourceVersion, changes nothing.
    """

    def __init__(self) -> None:
        self._clusters: dict[ClusterKey, KubeObject] = {}
        self._children: defaultdict[ClusterKey, dict[ChildKey, KubeObject]] = defaultdict(dict)
        self._gone: dict[str, int] = {}

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
        there = self._there(kind, key, obj)
        known = -1 if there is None else _version(there)
        if _version(obj) <= max(known, self._gone.get(obj["metadata"]["uid"], -1)):
            return key
        if kind is SESSION_CLUSTERS:
            self._clusters[key] = obj
        else:
            self._children[key][kind, obj["metadata"]["name"]] = obj
        return key

    def forget(self, kind: Kind, obj: KubeObject) -> ClusterKey | None:
        """As `see`, for an object that is gone; one of the same name may have taken its place."""
        key = _cluster_of(kind, obj)
        if key is None:
            return None
        uid = obj["metadata"]["uid"]
        self._gone[uid] = _version(obj)
        if len(self._gone) > GONE:
            del self._gone[next(iter(self._gone))]
        there = self._there(kind, key, obj)
        if there is None or there["metadata"]["uid"] != uid:
            return key
        if kind is SESSION_CLUSTERS:
            del self._clusters[key]
        else:
            del self._children[key][kind, obj["metadata"]["name"]]
            if not self._children[key]:
                del self._children[key]
        return key

    def replace(
        self, kind: Kind, before: Iterable[KubeObject], listed: Iterable[KubeObject]
    ) -> None:
        """See what was listed, and forget what was there `before` the list and is not in it."""
        there = {obj["metadata"]["uid"]: obj for obj in listed}
        for obj in before:
            if obj["metadata"]["uid"] not in there:
                self.forget(kind, obj)
        for obj in there.values():
            self.see(kind, obj)

    def all(self, kind: Kind) -> list[KubeObject]:
        if kind is SESSION_CLUSTERS:
            return list(self._clusters.values())
        return [
            obj
            for children in self._children.values()
            for (of_kind, _), obj in children.items()
            if of_kind is kind
        ]

    def _there(self, kind: Kind, key: ClusterKey, obj: KubeObject) -> KubeObject | None:
        """What is known by the kind and name of `obj`."""
        if kind is SESSION_CLUSTERS:
            return self._clusters.get(key)
        return self.children(key).get((kind, obj["metadata"]["name"]))


def _cluster_of(kind: Kind, obj: KubeObject) -> ClusterKey | None:
    metadata = obj["metadata"]
    if kind is SESSION_CLUSTERS:
        return metadata["namespace"], metadata["name"]
    # A label may be somebody's mistake, to be repaired by its owner.
    owners = (o["name"] for o in metadata.get("ownerReferences", ()) if o["kind"] == KIND)
    name = next(owners, None) or metadata.get("labels", {}).get(naming.SESSION_CLUSTER)
    return None if name is None else (metadata["namespace"], name)


def _version(obj: KubeObject) -> int:
    """Opaque until Kubernetes 1.35, which promises what has always been so: that it is a number."""
    return int(obj["metadata"]["resourceVersion"])


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

    def listed(self, namespace: str, uids: frozenset[str]) -> None:
        for record in [self._records[uid] for uid in self._records.keys() - uids]:
            if namespace in ("", record.namespace):
                self._drop(record)

    def _drop(self, record: PodRecord) -> None:
        del self._records[record.uid]
        key = record.namespace, record.cluster
        del self._by_cluster[key][record.uid]
        if not self._by_cluster[key]:
            del self._by_cluster[key]
        self._gone(record)
