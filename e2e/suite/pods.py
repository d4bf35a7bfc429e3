"""Pods as objects: what is read of one, and how one is written that may run in any namespace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from moorline_operator.kube.api import KubeObject

PYTHON: Final = "/opt/app/bin/python3"
"""In the images of e2e/app."""


def container_statuses(pod: KubeObject) -> Iterator[dict[str, Any]]:
    """Of all containers; a sidecar is an init container that goes on."""
    for kind in ("initContainerStatuses", "containerStatuses"):
        yield from pod.get("status", {}).get(kind, ())


def status_of(pod: KubeObject, container: str) -> dict[str, Any]:
    (found,) = (one for one in container_statuses(pod) if one["name"] == container)
    return found


def restarts_of(pod: KubeObject) -> int:
    """How often containers of it have been started anew."""
    return sum(one["restartCount"] for one in container_statuses(pod))


def restricted(container: dict[str, Any]) -> dict[str, Any]:
    """The spec of a pod that runs once, for a namespace that enforces `restricted`."""
    harmless = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{**container, "securityContext": harmless}],
    }
