"""The sidecar: a container that starts before the application's and ends after them.

It is a native sidecar (KEP-753). It has no preStop hook: those run when the pod begins to end,
while the application still needs its sessions.
"""

from collections.abc import Mapping
from typing import Any, Final

from moorline_api.operations import SidecarSpec

from moorline_operator import naming
from moorline_operator.cluster import Cluster
from moorline_operator.container import image_of, restricted, variables_of
from moorline_operator.injection.offer import SOCKET, TOKEN_FILE
from moorline_operator.injection.volumes import has_journal, journal_folder, mounts_of
from moorline_operator.settings import InjectionSettings

DATA_PORT: Final = "moorline-data"
OPS_PORT: Final = "moorline-ops"

GRACE_SECONDS: Final = 30
"""Kubernetes' own default of `terminationGracePeriodSeconds`."""

_SPARE_SECONDS: Final = 2
"""The kubelet kills what still runs so long after the grace period: Python needs some to end."""


def ports_of(sidecar: SidecarSpec) -> dict[str, int]:
    """The ports it listens on, by the names that they have in the container."""
    return {
        DATA_PORT: sidecar.port,
        naming.HEALTH_PORT: sidecar.health_port,
        OPS_PORT: sidecar.ops_port,
    }


def sidecar_in(pod: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The sidecar that the pod has already, from this webhook or copied from another pod."""
    for container in pod["spec"].get("initContainers") or ():
        if container["name"] == naming.CONTAINER and container.get("restartPolicy") == "Always":
            names = {variable["name"] for variable in container.get("env") or ()}
            return container if "MOORLINE_WORKER" in names else None
    return None


def sidecar_of(
    cluster: Cluster, settings: InjectionSettings, grace_seconds: int = GRACE_SECONDS
) -> dict[str, Any]:
    """The container; `grace_seconds` is what the pod gives all its containers to end."""
    sidecar = cluster.spec.sidecar
    optional = {"imagePullPolicy": settings.pull_policy} if settings.pull_policy else {}
    return {
        "name": naming.CONTAINER,
        "image": image_of(cluster, settings),
        **optional,
        "args": ["serve", *_health_address(sidecar.health_port)],
        "restartPolicy": "Always",
        "env": _environment(cluster, max(grace_seconds - _SPARE_SECONDS, 1)),
        "ports": [
            {"name": name, "containerPort": port, "protocol": "TCP"}
            for name, port in ports_of(sidecar).items()
        ],
        "resources": {
            "requests": dict(sidecar.resources.requests),
            "limits": dict(sidecar.resources.limits),
        },
        "securityContext": restricted(settings.run_as_user),
        # Wrong configuration is told on stderr: with this it shows in the pod's status.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts_of(cluster),
        **_probes(sidecar.health_port),
    }


def _health_address(port: int) -> list[str]:
    """Without its configuration, which it may have to wait for, it cannot know another port."""
    return [] if port == SidecarSpec().health_port else ["--health", f":{port}"]


def _environment(cluster: Cluster, shutdown_seconds: int) -> list[dict[str, Any]]:
    sidecar = cluster.spec.sidecar
    facts = [
        _field("MOORLINE_WORKER", f"metadata.labels['{naming.WORKER}']"),
        _field("MOORLINE_POD", "metadata.name"),
        _field("MOORLINE_NAMESPACE", "metadata.namespace"),
        _field("MOORLINE_NODE", "spec.nodeName"),
    ]
    values = {
        **variables_of(cluster),
        # Read by OpenTelemetry; the kubelet fills in the variables above.
        "OTEL_RESOURCE_ATTRIBUTES": "k8s.pod.name=$(MOORLINE_POD),"
        "k8s.namespace.name=$(MOORLINE_NAMESPACE),k8s.node.name=$(MOORLINE_NODE)",
        "MOORLINE_SHUTDOWN_SECONDS": str(shutdown_seconds),
    }
    if sidecar.token_secret_ref is not None:
        values["MOORLINE_TOKEN_FILE"] = TOKEN_FILE
    if sidecar.socket:
        values["MOORLINE_SOCKET"] = SOCKET
    if has_journal(cluster):
        values["MOORLINE_JOURNAL"] = journal_folder(cluster)
    return facts + [{"name": name, "value": value} for name, value in values.items()]


def _field(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


def _probes(port: int) -> dict[str, Any]:
    def probe(path: str, seconds: int, timeout: int, failures: int) -> dict[str, Any]:
        return {
            "httpGet": {"path": path, "port": port, "scheme": "HTTP"},
            "periodSeconds": seconds,
            "timeoutSeconds": timeout,
            "successThreshold": 1,
            "failureThreshold": failures,
        }

    return {
        # Every second: the containers after it wait for this one. Two minutes: a busy new node.
        "startupProbe": probe("/readyz", 1, 1, 120),
        "readinessProbe": probe("/readyz", 5, 3, 3),
        # A minute: a restart loses what is not saved yet, so it has to be worth it.
        "livenessProbe": probe("/healthz", 10, 5, 6),
    }
