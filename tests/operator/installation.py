"""Moorline as the chart installs it, with its replicas as processes of this machine.

There is no kubelet: what one would do for the operator's pods is done here. Everything else is
the chart's: settings, account, permissions, webhook.
"""

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import yaml
from moorline_operator import naming

from e2e.ports import free_port
from tests.operator.addresses import own_address
from tests.operator.balancer import Balancer, Pod, Probe
from tests.operator.control_plane import CommandFailed, ControlPlane
from tests.operator.workloads import a_bare_pod

CHART: Final = Path(__file__).parents[2] / "charts" / "moorline"
NAMESPACE: Final = "moorline-system"
RELEASE: Final = "moorline"
REPLICAS: Final = 2

GUARDS: Final = "validatingadmissionpolicybindings,mutatingwebhookconfigurations"

READY_SECONDS: Final = 60.0
STOP_SECONDS: Final = 40.0
POLL_SECONDS: Final = 0.05

# A drain as long as the chart's would only make the tests long.
FASTER: Final[dict[str, dict[str, Any]]] = {
    "webhook": {"host": "127.0.0.1", "drain": "2s"},
    "certificates": {"propagation": "2s"},
    "election": {"duration": "8s", "renewDeadline": "6s", "retry": "500ms"},
}


def wait_until(condition: Callable[[], bool], what: str, seconds: float = READY_SECONDS) -> None:
    """Poll until it holds.

    Raises:
        AssertionError: it did not within the time; says what.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(POLL_SECONDS)


class Replica:
    """One process of the operator."""

    def __init__(self, folder: Path, name: str, kubeconfig: Path, settings: dict[str, Any]) -> None:
        self.name = name
        self.port = free_port()
        self.health_port = free_port()
        self._kubeconfig = kubeconfig
        self._settings = folder / f"{name}.yaml"
        self._log = folder / f"{name}.log"
        members = {**settings, "healthHost": "127.0.0.1", "healthPort": self.health_port}
        members["webhook"] = {**members["webhook"], "port": self.port}
        self._settings.write_text(yaml.safe_dump(members), encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None
        self._pod: Pod | None = None
        self._begun_at = 0

    @property
    def pod(self) -> Pod | None:
        """What its Service knows it by, while it runs."""
        return self._pod if self.is_running else None

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8") if self._log.exists() else ""

    def is_holder(self, identity: str) -> bool:
        """Whether this very process, and not one before it, took the Lease under the identity."""
        return self.is_running and f'"identity":"{identity}"' in self.log[self._begun_at :]

    @property
    def is_running(self) -> bool:
        process = self._process
        return process is not None and process.poll() is None

    def start(self) -> None:
        """Start the process if it does not run; `Installation.until_ready` waits for it."""
        if self.is_running:
            return
        environment = {
            **os.environ,
            "KUBECONFIG": str(self._kubeconfig),
            "POD_NAME": self.name,
            "POD_NAMESPACE": NAMESPACE,
        }
        command = [sys.executable, "-m", "moorline_operator", "run", "--settings"]
        self._begun_at = len(self.log)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, str(self._settings)], env=environment, stdout=log, stderr=log
            )
        self._pod = Pod(self.port, self.health_port)

    def ask_to_stop(self) -> None:
        """Delete the pod: its kubelet and its Service hear of it at the same time."""
        if self._pod is not None:
            self._pod.deleted = time.monotonic()
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        self.wait()

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def wait(self) -> int:
        """Its exit code, once it ended."""
        assert self._process is not None
        code = self._process.wait(STOP_SECONDS)
        self._process = None
        return code

    def stop(self) -> None:
        if self.is_running:
            self.thaw()
            self.ask_to_stop()
            try:
                self.wait()
            except subprocess.TimeoutExpired:
                self.kill()
                raise

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


class Installation:
    """A release of the chart and its replicas, behind what stands in for its Service."""

    def __init__(self, control_plane: ControlPlane, folder: Path) -> None:
        self.control_plane = control_plane
        account = self._find("serviceaccount")
        kubeconfig = control_plane.kubeconfig_for(NAMESPACE, account)
        settings = self.settings()
        for member, values in FASTER.items():
            settings[member] = {**settings.get(member, {}), **values}
        self.replicas = [
            Replica(folder, f"{RELEASE}-{number}", kubeconfig, settings)
            for number in range(REPLICAS)
        ]
        self.balancer = Balancer(own_address(), self.replicas, self._probe())
        self.account = f"system:serviceaccount:{NAMESPACE}:{account}"
        self.webhook_configuration: str = settings["webhook"]["configuration"]
        self.secret: str = settings["webhook"]["secret"]
        self.lease: str = settings["election"]["lease"]

    def settings(self) -> dict[str, Any]:
        """The operator's settings as the chart wrote them."""
        maps = self._get("configmap", "-n", NAMESPACE)["items"]
        texts = [
            found["data"]["operator.yaml"] for found in maps if "operator.yaml" in found["data"]
        ]
        settings: dict[str, Any] = yaml.safe_load(texts[0])
        return settings

    @contextlib.contextmanager
    def running(self) -> Iterator["Installation"]:
        with self.balancer.running():
            self._lead_the_api_server_here()
            try:
                yield self
            finally:
                for replica in self.replicas:
                    replica.stop()

    def restore(self) -> None:
        """Have every replica running and ready, whatever a test did to them."""
        for replica in self.replicas:
            if replica.is_running:
                replica.thaw()
            replica.start()
        self.until_ready()

    def until_ready(self) -> None:
        """Wait until each replica that runs takes requests."""
        running = [replica for replica in self.replicas if replica.is_running]

        def are_ready() -> bool:
            return all(map(self.balancer.leads_to, running))

        wait_until(are_ready, f"not ready:\n{self.logs()[-4000:]}")

    def metrics(self) -> dict[str, float]:
        """The metrics of the leader, by name and labels as Prometheus has them."""
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.leader().health_port}/metrics", timeout=5
        ) as answer:
            lines = answer.read().decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    def leader(self) -> Replica:
        """The replica that holds the Lease, once it leads.

        A Lease outlives the process that was killed, and the next one has the same pod's name.
        """
        found: list[Replica] = []

        def is_found() -> bool:
            spec = self._get("lease", self.lease, "-n", NAMESPACE).get("spec", {})
            holder = spec.get("holderIdentity") or "-"
            found[:] = [one for one in self.replicas if one.is_holder(holder)]
            return bool(found)

        wait_until(is_found, "nobody leads")
        return found[0]

    def logs(self) -> str:
        return "\n".join(f"== {replica.name}\n{replica.log}" for replica in self.replicas)

    def _probe(self) -> Probe:
        """By what the chart has the kubelet find out that a replica is not ready."""
        deployment = self._get("deployment", "-n", NAMESPACE)["items"][0]
        probe = deployment["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]
        return Probe(probe["periodSeconds"], probe["timeoutSeconds"], probe["failureThreshold"])

    def _lead_the_api_server_here(self) -> None:
        """Give the chart's Service an endpoint; with pods, controllers would."""
        kind = ("mutatingwebhookconfiguration", self.webhook_configuration)
        service = self._get(*kind)["webhooks"][0]["clientConfig"]["service"]["name"]
        endpoints = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "replicas",
                "namespace": NAMESPACE,
                "labels": {"kubernetes.io/service-name": service},
            },
            "addressType": "IPv4",
            "ports": [{"name": "webhook", "port": self.balancer.port}],
            "endpoints": [{"addresses": [self.balancer.host], "conditions": {"ready": True}}],
        }
        self.control_plane.kubectl("apply", "-f", "-", stdin=json.dumps(endpoints))

    def _find(self, kind: str) -> str:
        names = [found["metadata"]["name"] for found in self._get(kind, "-n", NAMESPACE)["items"]]
        return next(str(name) for name in names if name != "default")

    def _get(self, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self.control_plane.kubectl("get", *arguments, "-o", "json")
        )
        return found


@contextlib.contextmanager
def installed(control_plane: ControlPlane, folder: Path, *values: str) -> Iterator[Installation]:
    """The chart with its default values but for these; the type is there already."""
    where = ("--namespace", NAMESPACE)
    control_plane.helm(
        *("install", RELEASE, str(CHART), *where, "--create-namespace"),
        *("--set", ",".join(("crds.enabled=false", *values))),
    )
    try:
        yield Installation(control_plane, folder)
    finally:
        control_plane.start()
        control_plane.helm("uninstall", RELEASE, *where)
        wait_until_unguarded(control_plane)


def wait_until_unguarded(control_plane: ControlPlane) -> None:
    """Policies and webhooks hold for a moment longer than they exist.

    Where another release is installed, nothing is waited for.
    """
    if control_plane.kubectl("get", GUARDS, "--selector=app.kubernetes.io/name=moorline", "-oname"):
        return
    pod = a_bare_pod("default", "unguarded")
    pod["metadata"]["labels"][naming.WORKER] = "node0"

    def is_admitted() -> bool:
        try:
            control_plane.kubectl(
                "create", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(pod)
            )
        except CommandFailed:
            return False
        return True

    wait_until(is_admitted, "pods are still judged by what was uninstalled")


def decoded(secret: dict[str, Any]) -> dict[str, bytes]:
    """The data of a Secret."""
    return {name: base64.b64decode(value) for name, value in secret.get("data", {}).items()}
