"""With `watchNamespaces` the operator works there, with permissions for nothing else."""

import asyncio
import contextlib
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


@contextlib.contextmanager
def made(control_plane: ControlPlane) -> Iterator[str]:
    name = f"test-{secrets.token_hex(4)}"
    control_plane.kubectl("create", "namespace", name)
    account = "serviceaccount/default"
    control_plane.kubectl("wait", "--for=create", account, "-n", name, "--timeout=60s")
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def namespaces(control_plane: ControlPlane) -> Iterator[tuple[str, str, str]]:
    with made(control_plane) as one, made(control_plane) as two, made(control_plane) as three:
        yield one, two, three


@pytest.mark.usefixtures("crds")
async def test_the_operator_works_in_its_namespaces_and_in_no_other(
    control_plane: ControlPlane, kube: Kube, namespaces: tuple[str, str, str], tmp_path: Path
) -> None:
    *ours, other = namespaces
    watched = f"watchNamespaces={{{','.join(ours)}}}"
    for where in namespaces:
        await kube.create(SESSION_CLUSTERS, a_session_cluster(where))
    with installed(control_plane, tmp_path, watched) as release, release.running():
        await asyncio.to_thread(release.restore)
        for where in ours:
            await kube.create(DEPLOYMENTS, a_workload(DEPLOYMENTS, where, replicas=2))
        for where in ours:
            assert await names_of(kube, where, 2) == ["node0", "node1"]
            await until_reason(kube, where, "shop", "WorkersReady", "NotReady")
        pod = await kube.create(PODS, a_bare_pod(other, "theirs"))
        assert "initContainers" not in pod["spec"]
        elsewhere = await kube.get(SESSION_CLUSTERS, other, "shop")
        assert "status" not in elsewhere
        assert "forbidden" not in release.logs().lower()
