"""Objects that a user applies, for tests against a real API server."""

from datetime import UTC, datetime
from typing import Any

from moorline_operator import naming
from moorline_operator.kube.api import KubeObject
from moorline_operator.kube.kinds import Kind

DEPLOYMENTS = Kind("apps/v1", "Deployment", "deployments")
STATEFUL_SETS = Kind("apps/v1", "StatefulSet", "statefulsets")
SECRET = "shop-mongodb"
REPLICA_SETS = Kind("apps/v1", "ReplicaSet", "replicasets")


def a_session_cluster(
    namespace: str, name: str = "shop", spec: dict[str, Any] | None = None, **metadata: object
) -> KubeObject:
    """One that needs no backend, unless its spec says otherwise; more metadata by keyword.

    Its purge is due in half a day. By default it is some minute of the day, of the UID's choice:
    with one test in hundreds it would begin just then, and be counted, or written of.
    """
    return {
        "apiVersion": "moorline.io/v1alpha1",
        "kind": "SessionCluster",
        "metadata": {"namespace": namespace, "name": name, **metadata},
        "spec": {"backend": {"type": "Memory"}, "purge": _in_half_a_day(), **(spec or {})},
    }


def _in_half_a_day() -> dict[str, Any]:
    now = datetime.now(UTC)
    return {"schedule": f"{now.minute} {(now.hour + 12) % 24} * * *", "timeZone": "Etc/UTC"}


def with_mongodb(secret: str = SECRET, **backend: object) -> dict[str, Any]:
    """A spec whose backend is MongoDB, by the URI in a Secret."""
    mongodb = {"connectionSecretRef": {"name": secret}, **backend}
    return {"backend": {"type": "MongoDB", "mongodb": mongodb}}


def a_secret(namespace: str, uri: str, name: str = SECRET) -> KubeObject:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": namespace, "name": name},
        "stringData": {"uri": uri},
    }


def a_bare_pod(namespace: str, name: str, cluster: str | None = "shop") -> KubeObject:
    """A pod that nobody owns; without a label where `cluster` is None."""
    labels = {} if cluster is None else {naming.CLUSTER: cluster}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "spec": _template(cluster)["spec"],
    }


def a_workload(
    kind: Kind, namespace: str, name: str = "web", *, replicas: int = 1, cluster: str = "shop"
) -> KubeObject:
    """A Deployment, ReplicaSet or StatefulSet whose pods carry the label."""
    labels = {"app": name}
    template = _template(cluster)
    template["metadata"]["labels"].update(labels)
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    if kind is STATEFUL_SETS:
        # All at once: without a node, none ever gets ready.
        spec |= {"serviceName": name, "podManagementPolicy": "Parallel"}
    return {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "metadata": {"namespace": namespace, "name": name},
        "spec": spec,
    }


def _template(cluster: str | None) -> dict[str, Any]:
    labels = {} if cluster is None else {naming.CLUSTER: cluster}
    container = {"name": "app", "image": "example/app", "ports": [{"containerPort": 8080}]}
    return {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
