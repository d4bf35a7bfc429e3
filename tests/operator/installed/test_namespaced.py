"""With `watchNamespaces` the operator works there, with permissions for nothing else."""

import asyncio
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from moorline_operator.kube.api import Kube
from moorline_operator.kube.kinds import PODS, SESSION_CLUSTERS

from tests.operator.control_plane import ControlPlane
from tests.operator.installation import installed
from tests.operator.watching import names_of, until_reason
from tests.operator.workloads import DEPLOYMENTS, a_bare_pod, a_session_cluster, a_workload


@pytest.fixture
def other_namespace(control_plane: ControlPlane) -> Iterator[str]:
    name = f"test-{secrets.token_hex(4)}"
    control_plane.kubectl("create", "namespace", name)
    account = "serviceaccount/default"
    control_plane.kubectl("wait", "--for=create", account, "-n", name, "--timeout=60s")
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false")


@pytest.mark.usefixtures("crds")
async def test_the_operator_works_in_its_namespaces_and_in_no_other(
    control_plane: ControlPlane,
    kube: Kube,
    namespace: str,
    other_namespace: str,
    tmp_path: Path,
) -> None:
    with (
        installed(control_plane, tmp_path, f"watchNamespaces={{{namespace}}}") as release,
        release.running(),
    ):
        await asyncio.to_thread(release.restore)
        for where in (namespace, other_namespace):
            await kube.create(SESSION_CLUSTERS, a_session_cluster(where))
        await kube.create(DEPLOYMENTS, a_workload(DEPLOYMENTS, namespace, replicas=2))
        assert await names_of(kube, namespace, 2) == ["node0", "node1"]
        await until_reason(kube, namespace, "shop", "WorkersReady", "NotReady")
        pod = await kube.create(PODS, a_bare_pod(other_namespace, "theirs"))
        assert "initContainers" not in pod["spec"]
        elsewhere = await kube.get(SESSION_CLUSTERS, other_namespace, "shop")
        assert "status" not in elsewhere
        assert "forbidden" not in release.logs().lower()
