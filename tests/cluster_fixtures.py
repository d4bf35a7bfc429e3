"""A real Kubernetes control plane for any test, started once; a plugin of tests/conftest.py."""

import os
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest
from kubernetes.aio import config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from moorline_operator.kube.api import Kube

from e2e.cluster.build import CLUSTER, cached
from e2e.cluster.control_plane import LocalControlPlane
from tests.operator.control_plane import CommandFailed, ControlPlane

CRD: Final = Path(__file__).parents[1] / "crds" / "moorline.io_sessionclusters.yaml"
READY_SECONDS: Final = 60.0


def cluster_program() -> Path:
    """The program that control planes are made of; skips the test where it was not built."""
    given = os.environ.get("MOORLINE_CLUSTER_BINARY")
    program = Path(given) if given else cached(CLUSTER)
    if not program.exists():
        pytest.skip(f"there is no {program}: `make cluster` builds it, with Go")
    return program


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """The cluster of KUBECONFIG, else one of our own, that all tests share.

    A test that stops a part of it starts it again, or leaves that to the next `namespace`.
    """
    with tempfile.TemporaryDirectory(prefix="moorline-cluster-") as name:
        folder = Path(name)
        if given := os.environ.get("KUBECONFIG"):
            yield ControlPlane(folder, given, None)
            return
        local = LocalControlPlane(cluster_program(), folder)
        try:
            local.start()
            yield ControlPlane(folder, str(local.kubeconfig), local)
        finally:
            local.stop()


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A new namespace in which pods can be made; it is deleted, which nobody waits for."""
    control_plane.start()
    name = f"test-{secrets.token_hex(4)}"
    control_plane.kubectl("create", "namespace", name)
    # Pods are refused until it is there.
    default_account = "serviceaccount/default"
    control_plane.kubectl("wait", "--for=create", default_account, "-n", name, "--timeout=60s")
    yield name
    control_plane.start()
    control_plane.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture(scope="session")
def crds(control_plane: ControlPlane) -> None:
    """SessionClusters exist, as the generated CustomResourceDefinition has them."""
    control_plane.start()
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", f"--filename={CRD}")
    # While there are no conditions at all, kubectl takes the question for a mistake.
    until_done(control_plane, "wait", "--for=condition=Established", f"--filename={CRD}")
    # What tells of kinds is brought up to date a moment later.
    until_done(control_plane, "explain", "scl")
    if control_plane.is_local:
        # The garbage collector sees new kinds only every half minute.
        control_plane.restart_controllers()


def until_done(control_plane: ControlPlane, *command: str) -> None:
    """Repeat a command until it is done.

    Raises:
        CommandFailed: it is not done for long.
    """
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            control_plane.kubectl(*command)
        except CommandFailed:
            if time.monotonic() > deadline:
                raise
        else:
            return


@pytest.fixture
async def kube(control_plane: ControlPlane) -> AsyncIterator[Kube]:
    """The operator's client, as cluster-admin."""
    configuration = Configuration()
    configuration.retries = None
    await config.load_kube_config(  # type: ignore[no-untyped-call]
        str(control_plane.kubeconfig), client_configuration=configuration
    )
    async with ApiClient(configuration) as client:
        yield Kube(client)
