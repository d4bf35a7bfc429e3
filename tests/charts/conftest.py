"""What tests of the chart share."""

import secrets
from collections.abc import Iterator

import pytest

from tests.charts.gateway import Gateway, gateway_to
from tests.operator.control_plane import ControlPlane


@pytest.fixture(scope="module")
def gate(control_plane: ControlPlane) -> Iterator[Gateway]:
    control_plane.start()
    with gateway_to(control_plane.kubeconfig) as found:
        yield found


@pytest.fixture(scope="module")
def module_namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A namespace for all tests of a module; it is deleted, which nobody waits for."""
    control_plane.start()
    name = f"chart-{secrets.token_hex(4)}"
    control_plane.kubectl("create", "namespace", name)
    # Pods are refused until it is there.
    account = "serviceaccount/default"
    control_plane.kubectl("wait", "--for=create", account, "-n", name, "--timeout=60s")
    yield name
    control_plane.start()
    control_plane.kubectl("delete", "namespace", name, "--wait=false")
