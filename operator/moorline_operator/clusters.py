"""The SessionClusters that a replica knows, for the webhook to ask about."""

from typing import Protocol

import structlog
from moorline_api.errors import InvalidSpec

from moorline_operator.cluster import Cluster, cluster_of
from moorline_operator.errors import NotFound
from moorline_operator.kube.api import KubeObject
from moorline_operator.kube.kinds import SESSION_CLUSTERS, Kind

_log = structlog.get_logger()


class Reader(Protocol):
    """What of the API server is needed here."""

    async def get(self, kind: Kind, namespace: str, name: str) -> KubeObject: ...


class Clusters:
    """Sink of the watch of SessionClusters; what cannot be read counts as unknown."""

    def __init__(self, kube: Reader) -> None:
        self._kube = kube
        self._by_uid: dict[str, Cluster] = {}
        self._by_key: dict[tuple[str, str], Cluster] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def known(self, namespace: str, name: str) -> Cluster | None:
        return self._by_key.get((namespace, name))

    async def look_up(self, namespace: str, name: str) -> Cluster | None:
        """Ask the API server, for one that is too new for the watch to have told of it.

        Raises:
            KubeError: it did not answer.
        """
        try:
            return _read(await self._kube.get(SESSION_CLUSTERS, namespace, name))
        except NotFound:
            return None

    def changed(self, obj: KubeObject) -> None:
        cluster = _read(obj, self._by_uid.get(obj["metadata"]["uid"]))
        if cluster is None:
            self.removed(obj)
        else:
            self._by_uid[cluster.uid] = cluster
            self._by_key[cluster.key] = cluster

    def removed(self, obj: KubeObject) -> None:
        self._drop(obj["metadata"]["uid"])

    def listed(self, namespace: str, uids: frozenset[str]) -> None:
        for uid in self._by_uid.keys() - uids:
            if namespace in ("", self._by_uid[uid].namespace):
                self._drop(uid)

    def _drop(self, uid: str) -> None:
        cluster = self._by_uid.pop(uid, None)
        # One of the same name may have taken its place already.
        if cluster is not None and self._by_key[cluster.key].uid == uid:
            del self._by_key[cluster.key]


def _read(obj: KubeObject, known: Cluster | None = None) -> Cluster | None:
    try:
        return cluster_of(obj, known)
    except InvalidSpec as error:
        metadata = obj["metadata"]
        _log.warning(
            "cannot read a SessionCluster",
            namespace=metadata["namespace"],
            cluster=metadata["name"],
            reason=str(error),
        )
        return None
