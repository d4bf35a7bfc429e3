"""Objects as an API server has them, made up for tests of what is pure."""

from typing import Any

from moorline_operator import naming


def a_pod(  # noqa: PLR0913 - each case needs another part
    name: str = "web-1",
    *,
    uid: str = "",
    cluster: str = "shop",
    namespace: str = "web",
    labels: dict[str, str] | None = None,
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    **metadata: Any,  # noqa: ANN401 - whatever Kubernetes has
) -> dict[str, Any]:
    """A pod with the label of a cluster; more of its metadata by keyword."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": uid or f"uid-of-{name}",
            "creationTimestamp": "2026-11-22T08:00:00Z",
            "resourceVersion": "1",
            "labels": {naming.CLUSTER: cluster, **(labels or {})},
            **metadata,
        },
        "spec": {"containers": [{"name": "app", "image": "app"}], **(spec or {})},
        "status": status or {},
    }


def owned_by(kind: str, name: str) -> list[dict[str, Any]]:
    """The ownerReferences of what a controller made."""
    return [{"apiVersion": "v1", "kind": kind, "name": name, "uid": "u", "controller": True}]
