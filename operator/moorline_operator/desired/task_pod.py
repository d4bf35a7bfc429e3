"""The pod of a task: the sidecar's image, run once with `purge` or `check`.

Every field that its safety rests on is written out, even where it is the default: what is applied
is owned, and so repaired.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from moorline_api.backends import BackendSpec
from moorline_api.base import SecretKeyRef

from moorline_operator import naming
from moorline_operator.cluster import Cluster
from moorline_operator.desired.child import KubeObject, labels
from moorline_operator.desired.quantities import canonical
from moorline_operator.settings import InjectionSettings

CONFIG_FOLDER: Final = "/etc/moorline"
SECRET_FOLDER: Final = "/etc/moorline-backend"  # noqa: S105 - a path
RESULT_FILE: Final = "/dev/termination-log"
WRONG_CONFIGURATION: Final = 2
"""The exit code of the sidecar that trying again does not change."""


def image_of(cluster: Cluster, settings: InjectionSettings) -> str:
    """The sidecar's image: the SessionCluster's, else the operator's."""
    return cluster.spec.sidecar.image or settings.image


def secret_of(backend: BackendSpec) -> SecretKeyRef | None:
    """The connection Secret of whichever type the backend is."""
    member = getattr(backend, backend.type.member)
    found: SecretKeyRef | None = getattr(member, "connection_secret_ref", None)
    return found


def task_pod(
    cluster: Cluster, settings: InjectionSettings, task: str, arguments: Sequence[str]
) -> KubeObject:
    """The template of the pod that runs `moorline-sidecar <task> <arguments>`."""
    return {
        "metadata": {"labels": labels(cluster, task)},
        "spec": {
            "restartPolicy": "Never",
            "serviceAccountName": "default",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "hostNetwork": False,
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "containers": [_container(cluster, settings, task, arguments)],
            "volumes": _volumes(cluster),
        },
    }


def _container(
    cluster: Cluster, settings: InjectionSettings, task: str, arguments: Sequence[str]
) -> KubeObject:
    purge = cluster.spec.purge
    return _without_empty(
        name=naming.CONTAINER,
        image=image_of(cluster, settings),
        imagePullPolicy=settings.pull_policy,
        args=[task, *arguments, "--result-file", RESULT_FILE],
        env=_environment(cluster),
        resources=_without_empty(
            requests=_quantities(purge.resources.requests),
            limits=_quantities(purge.resources.limits),
        ),
        terminationMessagePath=RESULT_FILE,
        # Not the end of the log: it may tell more than those who read a status should know.
        terminationMessagePolicy="File",
        securityContext=_security(settings.run_as_user),
        volumeMounts=_mounts(cluster),
    )


def _security(user: int | None) -> KubeObject:
    """Pod Security's profile `restricted`, and a file system that nothing is written to."""
    context = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    return context if user is None else {**context, "runAsUser": user}


def _environment(cluster: Cluster) -> list[KubeObject]:
    values = {"MOORLINE_CLUSTER": cluster.name}
    if secret_of(cluster.spec.backend) is not None:
        values["MOORLINE_BACKEND_URI_FILE"] = SECRET_FOLDER
    return [{"name": name, "value": value} for name, value in values.items()]


def _volumes(cluster: Cluster) -> list[KubeObject]:
    # Optional: of what is missing the task itself tells, where a pod would be stuck in mounting.
    config = {"name": naming.config_map(cluster.name), "optional": True}
    volumes: list[KubeObject] = [{"name": "moorline-config", "configMap": config}]
    secret = secret_of(cluster.spec.backend)
    if secret is not None:
        source = {"secretName": secret.name, "optional": True}
        volumes.append({"name": "moorline-backend", "secret": source})
    return volumes


def _mounts(cluster: Cluster) -> list[KubeObject]:
    mounts = [{"name": "moorline-config", "mountPath": CONFIG_FOLDER, "readOnly": True}]
    if secret_of(cluster.spec.backend) is not None:
        mounts.append({"name": "moorline-backend", "mountPath": SECRET_FOLDER, "readOnly": True})
    return mounts


def _quantities(values: Mapping[str, int | str]) -> dict[str, str]:
    return {resource: canonical(value) for resource, value in values.items()}


def _without_empty(**fields: Any) -> KubeObject:  # noqa: ANN401 - JSON
    """An empty text or collection means the same as none, and the API server keeps none."""
    return {name: value for name, value in fields.items() if value not in ("", [], {})}
