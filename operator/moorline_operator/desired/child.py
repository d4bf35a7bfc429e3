"""What all children have in common: where they are, whose they are, and how they are found."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from moorline_api.model import GROUP, KIND, VERSION
from msgspec import Struct

from moorline_operator import naming
from moorline_operator.cluster import Cluster
from moorline_operator.kube.kinds import Kind

KubeObject: TypeAlias = dict[str, Any]


class Child(Struct, frozen=True):
    """An object to be, and of which kind it is."""

    kind: Kind
    obj: KubeObject


def child(kind: Kind, cluster: Cluster, name: str, **body: Any) -> Child:  # noqa: ANN401 - JSON
    """A child of the cluster; `body` is what comes beside its metadata."""
    return Child(
        kind,
        {
            "apiVersion": kind.api_version,
            "kind": kind.name,
            "metadata": {
                "name": name,
                "namespace": cluster.namespace,
                "labels": labels(cluster),
                "ownerReferences": [_owner(cluster)],
            },
            **body,
        },
    )


def labels(cluster: Cluster, task: str = "") -> dict[str, str]:
    """The labels of a child, and of the Jobs and pods that come of it.

    Never `moorline.io/cluster`: a pod with it would be injected.
    """
    found = {naming.MANAGED_BY: naming.MANAGER, naming.SESSION_CLUSTER: cluster.name}
    return {**found, naming.TASK: task} if task else found


def is_owned(obj: Mapping[str, Any], owner_uid: str) -> bool:
    owners = obj["metadata"].get("ownerReferences", ())
    return any(owner["uid"] == owner_uid for owner in owners)


def _owner(cluster: Cluster) -> KubeObject:
    # Without blockOwnerDeletion: it needs a permission on finalizers, and would make a foreground
    # deletion of the SessionCluster wait for a purge under way.
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "name": cluster.name,
        "uid": cluster.uid,
        "controller": True,
    }
