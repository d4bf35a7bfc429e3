"""What somebody does in one namespace is told of there, and stops nothing in others."""

import pytest
from moorline_operator import naming
from moorline_operator.errors import Forbidden
from moorline_operator.kube.api import Kube, KubeObject
from moorline_operator.kube.kinds import CRON_JOBS, JOBS, SESSION_CLUSTERS, Kind

from tests.operator.installation import Installation
from tests.operator.watching import eventually, everything, names_of, until_reason
from tests.operator.workloads import DEPLOYMENTS, a_session_cluster, a_workload, with_mongodb

QUOTAS = Kind("v1", "ResourceQuota", "resourcequotas")


def a_quota(namespace: str, **hard: str) -> KubeObject:
    """No more of these than so many."""
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"namespace": namespace, "name": "few"},
        "spec": {"hard": hard},
    }


def a_confusing_job(namespace: str) -> KubeObject:
    """One that claims to be a check of ours, with an attempt that no integer has room for."""
    container = {"name": "app", "image": "example/app"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "namespace": namespace,
            "name": "confusing",
            "labels": {
                naming.MANAGED_BY: naming.MANAGER,
                naming.SESSION_CLUSTER: "shop",
                naming.TASK: naming.CHECK_TASK,
            },
            "annotations": {naming.CHECKED: "x", naming.ATTEMPT: "9" * 5_000},
        },
        "spec": {
            "suspend": True,
            "template": {"spec": {"restartPolicy": "Never", "containers": [container]}},
        },
    }


@pytest.mark.usefixtures("operator")
async def test_a_quota_on_jobs_is_told_of_and_its_end_noticed(kube: Kube, namespace: str) -> None:
    await kube.create(QUOTAS, a_quota(namespace, **{"count/jobs.batch": "0"}))
    await _until_exceeded(kube, namespace)
    await kube.create(SESSION_CLUSTERS, a_session_cluster(namespace, spec=with_mongodb()))
    told = await until_reason(kube, namespace, "shop", "Ready", "ApplyFailed")
    assert "exceeded quota: few" in told["message"]
    await kube.create(DEPLOYMENTS, a_workload(DEPLOYMENTS, namespace, replicas=2))
    await names_of(kube, namespace, 2)
    await until_reason(kube, namespace, "shop", "WorkersReady", "NotReady")
    await kube.delete(QUOTAS, namespace, "few")

    async def is_checked() -> bool:
        return bool(await everything(kube, JOBS, namespace, naming.TASK))

    await eventually(is_checked, lambda: "the check is not tried again")
    await until_reason(kube, namespace, "shop", "Ready", "NotReady")


async def test_nobody_in_a_namespace_can_stop_the_operator(
    operator: Installation, kube: Kube, namespace: str
) -> None:
    await kube.create(SESSION_CLUSTERS, a_session_cluster(namespace))
    await until_reason(kube, namespace, "shop", "Ready", "AllReady")
    await _patch(kube, SESSION_CLUSTERS, namespace, "shop", suspend=True)
    await until_reason(kube, namespace, "shop", "Ready", "Suspended")
    # From here on nothing is repaired.
    cron_job = naming.purge_cron_job("shop")
    await _patch(kube, CRON_JOBS, namespace, cron_job, schedule="@daily")
    await kube.create(JOBS, a_confusing_job(namespace))
    await kube.create(SESSION_CLUSTERS, a_session_cluster(namespace, "blog"))
    await until_reason(kube, namespace, "blog", "Ready", "AllReady")
    await _patch(kube, SESSION_CLUSTERS, namespace, "shop", suspend=False)
    await until_reason(kube, namespace, "shop", "Ready", "AllReady")
    assert all(replica.is_running for replica in operator.replicas)


@pytest.mark.usefixtures("operator")
async def test_a_token_of_any_characters_runs_one_purge(kube: Kube, namespace: str) -> None:
    # YAML, which is what is applied is read as, has other escapes than JSON.
    token = "é\n\U0001f600\x7f\ufffe" + "x" * 10_000
    annotations = {naming.PURGE_NOW: token}
    await kube.create(
        SESSION_CLUSTERS,
        a_session_cluster(namespace, spec=with_mongodb(), annotations=annotations),
    )
    handled = ""

    async def is_handled() -> bool:
        nonlocal handled
        cluster = await kube.get(SESSION_CLUSTERS, namespace, "shop")
        handled = cluster.get("status", {}).get("purge", {}).get("handledToken", "")
        return bool(handled == token[:256])

    await eventually(is_handled, lambda: f"the token is not handled: {handled!r}")
    assert len(await everything(kube, JOBS, namespace, f"{naming.TASK}=purge")) == 1


async def _until_exceeded(kube: Kube, namespace: str) -> None:
    """A quota is unknown for a moment, and then its usage is: Jobs are refused with other words."""
    said = "no refusal"

    async def is_exceeded() -> bool:
        nonlocal said
        try:
            await kube.create(JOBS, a_confusing_job(namespace), is_dry_run=True)
        except Forbidden as error:
            said = error.detail
        return "exceeded quota" in said

    await eventually(is_exceeded, lambda: f"the quota is not in force: {said}")


async def _patch(kube: Kube, kind: Kind, namespace: str, name: str, **spec: object) -> None:
    operations = [
        {"op": "add", "path": f"/spec/{field}", "value": value} for field, value in spec.items()
    ]
    await kube.json_patch(kind, namespace, name, operations)
