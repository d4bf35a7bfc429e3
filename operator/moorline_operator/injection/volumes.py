"""The volumes of the sidecar. Of these an application gets at most the socket and the token."""

from typing import Any, Final

from moorline_api.backends import BackendSpec
from moorline_api.base import SecretKeyRef

from moorline_operator import naming
from moorline_operator.cluster import Cluster
from moorline_operator.injection.offer import (
    SOCKET_FOLDER,
    SOCKET_VOLUME,
    TOKEN_FOLDER,
    TOKEN_KEY,
    TOKEN_VOLUME,
)

CONFIG_VOLUME: Final = "moorline-config"
BACKEND_VOLUME: Final = "moorline-backend"
NO_ACCOUNT_VOLUME: Final = "moorline-no-account"
BACKEND_FOLDER: Final = "/etc/moorline-backend"

FOLDERS: Final = {
    CONFIG_VOLUME: "/etc/moorline",
    BACKEND_VOLUME: BACKEND_FOLDER,
    # Where the API server would mount the token of the application's account, were there nothing.
    NO_ACCOUNT_VOLUME: "/var/run/secrets/kubernetes.io/serviceaccount",
    TOKEN_VOLUME: TOKEN_FOLDER,
    SOCKET_VOLUME: SOCKET_FOLDER,
}
"""Where the sidecar has each of its volumes, by the names of these."""


def connection_secret(backend: BackendSpec) -> SecretKeyRef | None:
    """The Secret of whichever type the backend is."""
    member = getattr(backend, backend.type.member)
    found: SecretKeyRef | None = getattr(member, "connection_secret_ref", None)
    return found


def volumes_of(cluster: Cluster) -> list[dict[str, Any]]:
    """The volumes that this cluster's pods have.

    ConfigMap and Secrets are optional, and whole folders: one that is missing is named by the
    sidecar instead of leaving the pod stuck in mounting, and one that changes is followed.
    """
    sidecar = cluster.spec.sidecar
    secret = connection_secret(cluster.spec.backend)
    config = {"name": naming.config_map(cluster.name), "optional": True}
    volumes: list[dict[str, Any]] = [{"name": CONFIG_VOLUME, "configMap": config}]
    if secret is not None:
        volumes.append(
            {"name": BACKEND_VOLUME, "secret": {"secretName": secret.name, "optional": True}}
        )
    volumes.append(_memory(NO_ACCOUNT_VOLUME))
    if sidecar.token_secret_ref is not None:
        token = {
            "secretName": sidecar.token_secret_ref.name,
            "items": [{"key": sidecar.token_secret_ref.key, "path": TOKEN_KEY}],
            "optional": True,
        }
        volumes.append({"name": TOKEN_VOLUME, "secret": token})
    if sidecar.socket:
        volumes.append(_memory(SOCKET_VOLUME))
    return volumes


def _memory(name: str) -> dict[str, Any]:
    # Of medium Memory: one on disk keeps the cluster autoscaler from ever emptying the node.
    return {"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}
