"""The operator's settings: one YAML file, which the chart writes, read once.

Unknown members are mistakes. Durations are Go duration strings, as in a SessionCluster.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from moorline_api.durations import duration_ns
from moorline_api.errors import InvalidDuration
from msgspec import Struct

from moorline_operator.errors import ConfigurationError

DEFAULT_FILE: Final = "/etc/moorline/operator.yaml"

MESH_CONTAINERS: Final = (
    "istio-init",
    "istio-validation",
    "istio-proxy",
    "linkerd-init",
    "linkerd-network-validator",
    "linkerd-proxy",
)
"""Init containers that have to start before the sidecar: without them it has no network."""


class _Settings(
    Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename="camel",
    omit_defaults=True,
):
    pass


class InjectionSettings(_Settings, frozen=True, kw_only=True):
    """What the sidecar container is like where the SessionCluster does not say.

    `run_as_user` None leaves the user to the platform, as OpenShift wants it.
    """

    image: str
    pull_policy: str = ""
    run_as_user: int | None = 65532
    mesh_containers: tuple[str, ...] = MESH_CONTAINERS


class WebhookSettings(_Settings, frozen=True, kw_only=True):
    """Where the webhook listens, and the objects that lead the API server to it.

    `drain` is how long a replica goes on serving after SIGTERM, `lookup` how long an unknown
    SessionCluster is looked for before the pod is refused.
    """

    configuration: str = "moorline"
    service: str = "moorline-webhook"
    secret: str = "moorline-webhook"  # noqa: S105 - an object's name
    host: str = ""
    port: int = 9443
    drain: str = "15s"
    lookup: str = "3s"


class CertificateSettings(_Settings, frozen=True, kw_only=True):
    """How long certificates last; with `managed` false another software fills the Secret.

    `propagation` is how long a new authority is published before leaves are signed with it.
    """

    managed: bool = True
    authority_life: str = "8760h"
    leaf_life: str = "168h"
    propagation: str = "2m"


class ElectionSettings(_Settings, frozen=True, kw_only=True):
    """The leader's Lease; `duration` > `renew_deadline` > `retry`."""

    lease: str = "moorline-operator"
    duration: str = "15s"
    renew_deadline: str = "10s"
    retry: str = "2s"


class Settings(_Settings, frozen=True, kw_only=True):
    """All of it; `watch_namespaces` empty means every namespace."""

    injection: InjectionSettings
    watch_namespaces: tuple[str, ...] = ()
    webhook: WebhookSettings = WebhookSettings()
    certificates: CertificateSettings = CertificateSettings()
    election: ElectionSettings = ElectionSettings()
    health_host: str = ""
    health_port: int = 8080
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class Identity(Struct, frozen=True, kw_only=True):
    """Who this process is: its namespace and its pod's name."""

    namespace: str
    pod: str


def seconds(duration: str) -> float:
    """The seconds of a duration such as "2m"."""
    return duration_ns(duration) / 1e9


def read_settings(path: Path) -> Settings:
    """The settings in a YAML file.

    Raises:
        ConfigurationError: it cannot be read, or something in it is wrong.
    """
    try:
        found = msgspec.yaml.decode(path.read_bytes(), type=Settings)
    except OSError as error:
        raise ConfigurationError([f"{path}: {error.strerror}"]) from error
    except msgspec.DecodeError as error:
        raise ConfigurationError([f"{path}: {error}"]) from error
    mistakes = list(_mistakes(found))
    if mistakes:
        raise ConfigurationError([f"{path}: {mistake}" for mistake in mistakes])
    return found


def _mistakes(settings: Settings) -> list[str]:
    mistakes: list[str] = []
    for path, duration in _durations(msgspec.to_builtins(settings), ""):
        try:
            duration_ns(duration)
        except InvalidDuration as error:
            mistakes.append(f"{path}: {error}")
    if mistakes:
        return mistakes
    election = settings.election
    if not (
        seconds(election.duration) > seconds(election.renew_deadline) > seconds(election.retry) > 0
    ):
        mistakes.append("election: write duration > renewDeadline > retry")
    return mistakes


_DURATIONS: Final = frozenset(
    {"drain", "lookup", "authorityLife", "leafLife", "propagation"}
    | {"duration", "renewDeadline", "retry"}
)


def _durations(node: Mapping[str, Any], path: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in node.items():
        if isinstance(value, Mapping):
            found += _durations(value, f"{path}{name}.")
        elif name in _DURATIONS:
            found.append((f"{path}{name}", value))
    return found
