"""The volumes of the sidecar. Of these an application gets at most the socket and the token."""

from typing import Any, Final

from moorline_api import OnOutage

from moorline_operator import container
from moorline_operator.cluster import Cluster
from moorline_operator.container import (
    BACKEND_FOLDER,
    BACKEND_VOLUME,
    CONFIG_FOLDER,
    CONFIG_VOLUME,
    DATA_VOLUME,
    data_folder,
)
from moorline_operator.injection.offer import (
    SOCKET_FOLDER,
    SOCKET_VOLUME,
    TOKEN_FOLDER,
    TOKEN_KEY,
    TOKEN_VOLUME,
)

NO_ACCOUNT_VOLUME: Final = "moorline-no-account"
JOURNAL_VOLUME: Final = "moorline-journal"
JOURNAL_FOLDER: Final = "/var/lib/moorline"

FOLDERS: Final = {
    CONFIG_VOLUME: CONFIG_FOLDER,
    BACKEND_VOLUME: BACKEND_FOLDER,
    # Where the API server would mount the token of the application's account, were there nothing.
    NO_ACCOUNT_VOLUME: "/var/run/secrets/kubernetes.io/serviceaccount",
    TOKEN_VOLUME: TOKEN_FOLDER,
    SOCKET_VOLUME: SOCKET_FOLDER,
    JOURNAL_VOLUME: JOURNAL_FOLDER,
}
"""Where the sidecar has each of its volumes, by the names of these."""

_WRITTEN: Final = frozenset({SOCKET_VOLUME, JOURNAL_VOLUME})


def volumes_of(cluster: Cluster) -> list[dict[str, Any]]:
    """The volumes that this cluster's pods have."""
    sidecar = cluster.spec.sidecar
    volumes = container.volumes_of(cluster)
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
    if has_journal(cluster):
        # On the disk: memory would count as the sidecar's, and be lost with the node. Without a
        # limit: the kubelet evicts a pod that exceeds one; the journal is bounded by itself.
        volumes.append({"name": JOURNAL_VOLUME, "emptyDir": {}})
    return volumes


def mounts_of(cluster: Cluster) -> list[dict[str, Any]]:
    """Where the sidecar has them, and the pod's own volume that it keeps sessions on."""
    mounts = [_mount(cluster, volume["name"]) for volume in volumes_of(cluster)]
    folder = data_folder(cluster.spec.backend)
    if folder is not None:
        mounts.append({"name": DATA_VOLUME, "mountPath": folder})
    return mounts


def journal_folder(cluster: Cluster) -> str:
    """Not where sessions are, or around it: several pods may share that volume."""
    is_taken = data_folder(cluster.spec.backend) is not None
    return f"{JOURNAL_FOLDER}-journal" if is_taken else JOURNAL_FOLDER


def has_journal(cluster: Cluster) -> bool:
    """Whether what is changed in an outage is to survive the sidecar's process."""
    return cluster.spec.sessions.on_outage is OnOutage.BUFFER


def _mount(cluster: Cluster, volume: str) -> dict[str, Any]:
    folder = journal_folder(cluster) if volume == JOURNAL_VOLUME else FOLDERS[volume]
    mount: dict[str, Any] = {"name": volume, "mountPath": folder}
    return mount if volume in _WRITTEN else {**mount, "readOnly": True}


def _memory(name: str) -> dict[str, Any]:
    # Of medium Memory: one on disk keeps the cluster autoscaler from ever emptying the node.
    return {"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}
