"""The chart as Helm has it: rendered, or installed into the control plane of the tests."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from tests.operator.control_plane import ControlPlane
from tests.operator.installation import wait_until_unguarded

KubeObject = dict[str, Any]

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "charts" / "moorline"
LABEL: Final = "app.kubernetes.io/instance"

CLUSTER_SCOPED: Final = (
    "clusterroles,clusterrolebindings,mutatingwebhookconfigurations,priorityclasses,"
    "validatingadmissionpolicies,validatingadmissionpolicybindings"
)
NAMESPACED: Final = (
    "deployments,services,serviceaccounts,configmaps,secrets,roles,rolebindings,"
    "poddisruptionbudgets,networkpolicies,leases"
)


class Release:
    """The chart under a name in a namespace."""

    def __init__(self, control_plane: ControlPlane, name: str, namespace: str) -> None:
        self._control_plane = control_plane
        self.name: Final = name
        self.namespace: Final = namespace
        self.prefix: Final = f"{name}-moorline"
        self.cluster_name: Final = f"{self.prefix}.{namespace}"
        self.user: Final = f"system:serviceaccount:{namespace}:{self.prefix}"

    def helm(self, command: str, *flags: str) -> str:
        chart = () if command in {"uninstall", "rollback", "get"} else (str(CHART),)
        return self._control_plane.helm(
            command, self.name, *chart, f"--namespace={self.namespace}", *flags
        )

    def kubectl(self, *arguments: str, namespace: str = "", stdin: str = "") -> str:
        """Kubectl in the namespace of the release, or another."""
        where = f"--namespace={namespace or self.namespace}"
        return self._control_plane.kubectl(*arguments, where, stdin=stdin)

    def objects(self, *flags: str) -> list[KubeObject]:
        """What `helm template` makes."""
        return [each for each in yaml.safe_load_all(self.helm("template", *flags)) if each]

    def leftovers(self) -> set[str]:
        """What the API server still has of it, as `Secret/x`."""
        shown = "jsonpath={range .items[*]}{.kind}/{.metadata.name}{'\\n'}{end}"
        selector = f"--selector={LABEL}={self.name}"
        kinds = f"{CLUSTER_SCOPED},{NAMESPACED},customresourcedefinitions"
        return set(self.kubectl("get", kinds, selector, f"--output={shown}").split())


@contextmanager
def installed(control_plane: ControlPlane, namespace: str, *flags: str) -> Iterator[Release]:
    """A release without its CustomResourceDefinition; uninstalled afterwards."""
    release = Release(control_plane, f"it-{namespace[-8:]}", namespace)
    release.helm("install", "--set=crds.enabled=false", *flags)
    try:
        yield release
    finally:
        release.helm("uninstall")
        wait_until_unguarded(control_plane)


def eventually(is_so: Callable[[], bool]) -> None:
    """Wait until it is so, asking again and again.

    Raises:
        TimeoutError: it is not so in half a minute.
    """
    deadline = time.monotonic() + 30
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.1)


def named(objects: list[KubeObject], kind: str) -> KubeObject:
    """The only object of a kind."""
    (found,) = (each for each in objects if each["kind"] == kind)
    return found
