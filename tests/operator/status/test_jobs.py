"""What the Job controller of a real control plane makes of the ends of our pods."""

import asyncio
import json

import pytest
from moorline_operator import naming
from moorline_operator.cluster import cluster_of
from moorline_operator.desired import check_job, purge_job
from moorline_operator.kube.api import Kube, KubeObject
from moorline_operator.kube.kinds import JOBS, PODS, SESSION_CLUSTERS
from moorline_operator.status import JobFacts, job_facts
from msgspec import Struct

from tests.operator.control_plane import ControlPlane
from tests.operator.desired.clusters import MONGODB, SETTINGS

pytestmark = pytest.mark.usefixtures("crds")

PURGED = '{"invalidDeleted":3,"validDeleted":1,"durationSeconds":0.2,"complete":true}'
NO_SECRET = '{"ok":false,"reason":"SecretNotFound","detail":"there is none"}'
DEADLINE_SECONDS = 60


class Ending(Struct, frozen=True):
    """How a pod of a task ends, and the reason that its Job then has."""

    task: str
    exit_code: int
    message: str
    reason: str


@pytest.mark.parametrize(
    "ending",
    [
        Ending("purge", 0, PURGED, ""),
        Ending("purge", 2, "", "PodFailurePolicy"),
        Ending("check", 3, NO_SECRET, "BackoffLimitExceeded"),
    ],
    ids=["purged", "wrong-configuration", "no-secret"],
)
async def test_a_pods_end_becomes_facts(
    kube: Kube, control_plane: ControlPlane, namespace: str, ending: Ending
) -> None:
    job = await _started(kube, namespace, ending.task)
    pod = await _pod(kube, namespace, ending.task)
    # There is no kubelet; the test tells what it would.
    state = {"terminated": {"exitCode": ending.exit_code, "message": ending.message}}
    container = {"name": naming.CONTAINER, "image": "i", "imageID": "", "restartCount": 0}
    status = {
        "phase": "Failed" if ending.exit_code else "Succeeded",
        "containerStatuses": [{**container, "ready": False, "state": state}],
    }
    control_plane.kubectl(
        "patch",
        "pod",
        pod["metadata"]["name"],
        f"--namespace={namespace}",
        "--subresource=status",
        f"--patch={json.dumps({'status': status})}",
    )
    facts = await _ended(kube, namespace, job["metadata"]["name"], ending.task)
    assert facts.has_succeeded is (ending.exit_code == 0)
    assert (facts.reason, facts.exit_code) == (ending.reason, ending.exit_code)
    assert (facts.outcome is None) is (ending.message == "")


async def _started(kube: Kube, namespace: str, task: str) -> KubeObject:
    made = await kube.create(
        SESSION_CLUSTERS,
        {
            "apiVersion": SESSION_CLUSTERS.api_version,
            "kind": SESSION_CLUSTERS.name,
            "metadata": {"namespace": namespace, "name": "shop"},
            "spec": {"backend": MONGODB},
        },
    )
    cluster = cluster_of(made)
    if task == naming.PURGE_TASK:
        return await kube.create(JOBS, purge_job(cluster, SETTINGS, "now"))
    return await kube.create(JOBS, check_job(cluster, SETTINGS, 0, "0a1b2c3d"))


async def _pods(kube: Kube, namespace: str, task: str) -> list[KubeObject]:
    pages = kube.pages(PODS, namespace, labels=f"{naming.TASK}={task}")
    return [pod async for page in pages for pod in page["items"]]


async def _pod(kube: Kube, namespace: str, task: str) -> KubeObject:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            for pod in await _pods(kube, namespace, task):
                return pod
            await asyncio.sleep(0.1)


async def _ended(kube: Kube, namespace: str, name: str, task: str) -> JobFacts:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            job = await kube.get(JOBS, namespace, name)
            facts = job_facts(job, await _pods(kube, namespace, task))
            if facts.ended is not None:
                return facts
            await asyncio.sleep(0.1)
