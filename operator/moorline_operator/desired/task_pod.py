"""The pod of a task: the sidecar's image, run once with `purge` or `check`.

Every field that its safety rests on is written out, even where it is the default: what is applied
is owned, and so repaired.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from moorline_operator import naming
from moorline_operator.cluster import Cluster
from moorline_operator.container import (
    BACKEND_FOLDER,
    BACKEND_VOLUME,
    CONFIG_FOLDER,
    CONFIG_VOLUME,
    image_of,
    restricted,
    variables_of,
    volumes_of,
)
from moorline_operator.desired.child import KubeObject, labels
from moorline_operator.desired.quantities import canonical
from moorline_operator.settings import InjectionSettings

RESULT_FILE: Final = "/dev/termination-log"
WRONG_CONFIGURATION: Final = 2
"""The exit code of the sidecar that trying again does not change."""


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
            "volumes": volumes_of(cluster),
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
        securityContext=restricted(settings.run_as_user),
        volumeMounts=_mounts(cluster),
    )


def _environment(cluster: Cluster) -> list[KubeObject]:
    return [{"name": name, "value": value} for name, value in variables_of(cluster).items()]


def _mounts(cluster: Cluster) -> list[KubeObject]:
    folders = {CONFIG_VOLUME: CONFIG_FOLDER, BACKEND_VOLUME: BACKEND_FOLDER}
    return [
        {"name": volume["name"], "mountPath": folders[volume["name"]], "readOnly": True}
        for volume in volumes_of(cluster)
    ]


def _quantities(values: Mapping[str, int | str]) -> dict[str, str]:
    return {resource: canonical(value) for resource, value in values.items()}


def _without_empty(**fields: Any) -> KubeObject:  # noqa: ANN401 - JSON
    """An empty text or collection means the same as none, and the API server keeps none."""
    return {name: value for name, value in fields.items() if value not in ("", [], {})}
