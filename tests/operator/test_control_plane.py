"""What the other tests take for granted: the control plane is a real one."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from moorline_operator.errors import NotFound
from moorline_operator.kube import kinds
from moorline_operator.kube.api import Kube

from tests.cluster_fixtures import cluster_program
from tests.operator.control_plane import CommandFailed, ControlPlane
from tests.operator.watching import eventually

DEADLINE_SECONDS = 60.0

TEMPLATE = {
    "metadata": {"labels": {"app": "shop"}},
    "spec": {"containers": [{"name": "shop", "image": "example.com/shop"}]},
}
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "shop"}, "spec": TEMPLATE["spec"]}
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "shop"},
    "spec": {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "shop"}},
        "template": TEMPLATE,
    },
}


def until(is_reached: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not is_reached():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.1)


def names(control_plane: ControlPlane, namespace: str, kind: str) -> list[str]:
    return control_plane.kubectl("get", kind, "-n", namespace, "-o", "name").split()


def owned_lease(control_plane: ControlPlane, namespace: str) -> None:
    """A pod `shop` with a Lease `worker` of its own."""
    apply = ("apply", "-n", namespace, "-f", "-")
    control_plane.kubectl(*apply, stdin=json.dumps(POD))
    uid = control_plane.kubectl(
        "get", "pod", "shop", "-n", namespace, "-o", "jsonpath={.metadata.uid}"
    )
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "shop", "uid": uid}
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "worker", "ownerReferences": [owner]},
    }
    control_plane.kubectl(*apply, stdin=json.dumps(lease))


def test_a_deployment_makes_pods(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(DEPLOYMENT))
    until(lambda: len(names(control_plane, namespace, "pods")) == 3)


def test_a_lease_goes_with_its_pod_and_the_audit_log_tells(
    control_plane: ControlPlane, namespace: str
) -> None:
    owned_lease(control_plane, namespace)
    control_plane.kubectl("delete", "pod", "shop", "-n", namespace)
    until(lambda: not names(control_plane, namespace, "leases"))

    def deletions() -> set[tuple[str, str, str]]:
        return {
            (event["user"]["username"], event["objectRef"]["resource"], event["objectRef"]["name"])
            for event in control_plane.audit()
            if event["verb"] == "delete" and event["objectRef"].get("namespace") == namespace
        }

    collector = "system:serviceaccount:kube-system:generic-garbage-collector"
    told = {("cluster-admin", "pods", "shop"), (collector, "leases", "worker")}
    # It is written once a request is over: the Lease is gone before that.
    until(lambda: deletions() >= told)


def test_nothing_is_collected_while_the_controllers_are_stopped(
    control_plane: ControlPlane, namespace: str
) -> None:
    owned_lease(control_plane, namespace)
    control_plane.stop_controllers()
    control_plane.kubectl("delete", "pod", "shop", "-n", namespace)
    assert names(control_plane, namespace, "leases")
    control_plane.start_controllers()
    until(lambda: not names(control_plane, namespace, "leases"))


def test_a_stopped_api_server_comes_back_with_its_data(
    control_plane: ControlPlane, namespace: str
) -> None:
    control_plane.kubectl("create", "configmap", "kept", "-n", namespace)
    control_plane.stop_api_server()
    with pytest.raises(CommandFailed, match="refused"):
        names(control_plane, namespace, "configmaps")
    control_plane.start_api_server()
    assert "configmap/kept" in names(control_plane, namespace, "configmaps")


def test_a_service_account_may_do_only_what_it_is_granted(
    control_plane: ControlPlane, namespace: str
) -> None:
    kubeconfig = control_plane.kubeconfig_for(namespace, "default")
    with pytest.raises(CommandFailed, match=f"system:serviceaccount:{namespace}:default"):
        control_plane.kubectl(f"--kubeconfig={kubeconfig}", "get", "pods", "-n", namespace)


async def test_the_operator_client_reads_it(kube: Kube, namespace: str) -> None:
    found: dict[str, Any] = {}

    async def is_there() -> bool:
        """A controller makes it in every namespace, a moment later."""
        with suppress(NotFound):
            found.update(await kube.get(kinds.CONFIG_MAPS, namespace, "kube-root-ca.crt"))
        return bool(found)

    await eventually(is_there, lambda: "the namespace has no certificate of the authority")
    assert found["data"]["ca.crt"].startswith("-----BEGIN CERTIFICATE-----")


ENDLESS_RUN = """
import sys, time
from pathlib import Path
from e2e.cluster.control_plane import LocalControlPlane
local = LocalControlPlane(Path(sys.argv[1]), Path(sys.argv[2]))
local.start()
print(*(part.pid for part in (local.etcd, local.api_server, local.controllers)), flush=True)
time.sleep(600)
"""


def test_a_killed_test_run_leaves_no_process_behind(tmp_path: Path) -> None:
    command = (sys.executable, "-c", ENDLESS_RUN, str(cluster_program()), str(tmp_path))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        pids = run.stdout.readline().split()
        run.kill()
    assert len(pids) == 3
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
