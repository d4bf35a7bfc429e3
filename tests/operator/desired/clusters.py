"""SessionClusters as the builders of children get them."""

from typing import Any, Final

from moorline_operator.cluster import Cluster, cluster_of
from moorline_operator.settings import InjectionSettings

SETTINGS: Final = InjectionSettings(image="registry.example.com/moorline-sidecar:1.2.3")
MONGODB: Final = {"type": "MongoDB", "mongodb": {"connectionSecretRef": {"name": "shop-mongodb"}}}
MEMORY: Final = {"type": "Memory"}
UID: Final = "5f2c1b1e-6a3d-4d57-9c80-0d5a7e3a9b11"


def cluster_from(
    spec: dict[str, Any] | None = None,
    *,
    name: str = "shop",
    namespace: str = "web",
    uid: str = UID,
    annotations: dict[str, str] | None = None,
) -> Cluster:
    """The cluster whose spec says `spec`, and MongoDB where that says no backend."""
    metadata = {"name": name, "namespace": namespace, "uid": uid, "generation": 1}
    return cluster_of(
        {
            "metadata": {**metadata, "annotations": annotations or {}},
            "spec": {"backend": MONGODB, **(spec or {})},
        }
    )
