"""Pods that cannot have a sidecar, each with a sentence that says what to change."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from moorline_api.backends import BackendSpec

from moorline_operator import naming
from moorline_operator.container import DATA_VOLUME, data_folder


class Refused(Exception):
    """The pod cannot join; the text is a sentence for the person who made it."""


def refuse_what_cannot_join(
    pod: Mapping[str, Any], *, ports: Mapping[int, str], volumes: frozenset[str]
) -> None:
    """Check a pod from which an earlier sidecar is gone.

    `ports` are the sidecar's, with the field of the SessionCluster that sets each; `volumes` the
    names of volumes that the pod may not have.

    Raises:
        Refused: with the first reason found.
    """
    for reason in _REASONS:
        if (sentence := reason(pod)) is not None:
            raise Refused(sentence)
    for container in _containers(pod):
        if container["name"] == naming.CONTAINER:
            raise Refused(
                f"a container is named {naming.CONTAINER}, as the sidecar will be: give it "
                "another name, and if it is a sidecar of Moorline, leave it out"
            )
        _refuse_ports(container, ports)
    for volume in pod["spec"].get("volumes") or ():
        if volume["name"] in volumes:
            raise Refused(
                f"a volume is named {volume['name']}, as one of the sidecar's: give it another name"
            )


def refuse_without_volume(
    pod: Mapping[str, Any], backend: BackendSpec, taken: Collection[str]
) -> None:
    """Check a pod whose sidecar keeps the sessions in files; `taken` are folders of the sidecar's.

    An `emptyDir` in its place would lose them with the pod, and share them with no other: who
    wants that says so.

    Raises:
        Refused: it has no volume for them.
    """
    folder = data_folder(backend)
    if folder is None:
        return
    if folder == "/" or folder.rstrip("/") in taken:
        raise Refused(
            f"spec.backend.{backend.type.member} of the SessionCluster keeps sessions in {folder}, "
            "where the sidecar has something else: give them a folder of their own"
        )
    volumes = pod["spec"].get("volumes") or ()
    if any(each["name"] == DATA_VOLUME for each in volumes):
        return
    raise Refused(
        f"spec.backend.type of the SessionCluster is {backend.type}, which keeps sessions on a "
        f"volume of the pod, and there is none named {DATA_VOLUME}: add one to the pod template, "
        "a persistentVolumeClaim, or an emptyDir if sessions may go with the pod"
    )


def _host_network(pod: Mapping[str, Any]) -> str | None:
    if not pod["spec"].get("hostNetwork"):
        return None
    return (
        "hostNetwork: true would open the sessions to the whole node: remove it, "
        f"or the label {naming.CLUSTER}"
    )


def _windows(pod: Mapping[str, Any]) -> str | None:
    spec = pod["spec"]
    systems = {
        (spec.get("os") or {}).get("name"),
        (spec.get("nodeSelector") or {}).get("kubernetes.io/os"),
    }
    if "windows" not in systems:
        return None
    return f"the sidecar does not run on Windows: remove the label {naming.CLUSTER}"


def _node(pod: Mapping[str, Any]) -> str | None:
    if not pod["spec"].get("nodeName"):
        return None
    return (
        "nodeName is set, and a pod that is on a node cannot wait for its worker name: remove "
        "nodeName; to choose the node, use nodeSelector or affinity"
    )


def _worker(pod: Mapping[str, Any]) -> str | None:
    if naming.WORKER not in (pod["metadata"].get("labels") or {}):
        return None
    return f"the label {naming.WORKER} is set, which only Moorline gives: remove it"


_Reason = Callable[[Mapping[str, Any]], str | None]
_REASONS: Final[tuple[_Reason, ...]] = (_host_network, _windows, _node, _worker)


def _containers(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    spec = pod["spec"]
    return [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]


def _refuse_ports(container: Mapping[str, Any], ports: Mapping[int, str]) -> None:
    for port in container.get("ports") or ():
        number = port["containerPort"]
        if number in ports and port.get("protocol", "TCP") == "TCP":
            raise Refused(
                f"container {container['name']} has port {number}, as the sidecar will: change "
                f"one of them; the sidecar's is {ports[number]} of the SessionCluster"
            )
