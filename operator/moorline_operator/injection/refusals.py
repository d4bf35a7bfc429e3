"""Pods that cannot have a sidecar, each with a sentence that says what to change."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from moorline_operator import naming


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
