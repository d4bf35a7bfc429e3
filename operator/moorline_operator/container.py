"""What the sidecar and the tasks have in common: they are the same image, told the same things."""

from pathlib import PurePosixPath
from typing import Any, Final

from moorline_api.backends import BackendSpec, FileSpec, SQLiteSpec
from moorline_api.base import SecretKeyRef
from moorline_api.choices import BackendType

from moorline_operator import naming
from moorline_operator.cluster import Cluster
from moorline_operator.settings import InjectionSettings

CONFIG_VOLUME: Final = "moorline-config"
CONFIG_FOLDER: Final = "/etc/moorline"
BACKEND_VOLUME: Final = "moorline-backend"
BACKEND_FOLDER: Final = "/etc/moorline-backend"
DATA_VOLUME: Final = "moorline-data"
"""The volume of a pod, declared by whoever made the pod, that its sidecar keeps sessions on."""


def image_of(cluster: Cluster, settings: InjectionSettings) -> str:
    """The sidecar's image: the SessionCluster's, else the operator's."""
    return cluster.spec.sidecar.image or settings.image


def data_folder(backend: BackendSpec) -> str | None:
    """Where a sidecar has files with the sessions; None where they are anywhere else.

    No Job can reach them: which volume a pod has is the pod's own affair.
    """
    match backend.type:
        case BackendType.FILE:
            return (backend.file or FileSpec()).directory
        case BackendType.SQLITE:
            return str(PurePosixPath((backend.sqlite or SQLiteSpec()).path).parent)
    return None


def connection_secret(backend: BackendSpec) -> SecretKeyRef | None:
    """The Secret of whichever type the backend is."""
    member = getattr(backend, backend.type.member)
    found: SecretKeyRef | None = getattr(member, "connection_secret_ref", None)
    return found


def variables_of(cluster: Cluster) -> dict[str, str]:
    """What is told by the environment; all else is in the configuration file."""
    variables = {"MOORLINE_CLUSTER": cluster.name}
    if connection_secret(cluster.spec.backend) is not None:
        variables["MOORLINE_BACKEND_URI_FILE"] = BACKEND_FOLDER
    return variables


def volumes_of(cluster: Cluster) -> list[dict[str, Any]]:
    """The configuration and the connection, each a volume of a whole folder.

    Optional: one that is missing is named by who looks into the folder, instead of leaving the
    pod stuck in mounting. Whole folders: only they follow what changes.
    """
    config = {"name": naming.config_map(cluster.name), "optional": True}
    volumes: list[dict[str, Any]] = [{"name": CONFIG_VOLUME, "configMap": config}]
    secret = connection_secret(cluster.spec.backend)
    if secret is not None:
        source = {"secretName": secret.name, "optional": True}
        volumes.append({"name": BACKEND_VOLUME, "secret": source})
    return volumes


def restricted(user: int | None) -> dict[str, Any]:
    """Pod Security's profile `restricted`, and a file system that nothing is written to.

    `user` None leaves it to the platform. The group is the user's: one that the pod asks for only
    makes sense to its application.
    """
    context: dict[str, Any] = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    return context if user is None else {**context, "runAsUser": user, "runAsGroup": user}
