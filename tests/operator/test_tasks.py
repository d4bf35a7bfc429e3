from typing import Any

import pytest
from moorline_operator import naming
from moorline_operator.kube.api import KubeObject
from moorline_operator.kube.kinds import CONFIG_MAPS, CRON_JOBS, JOBS, Kind
from moorline_operator.tasks import jobs_of

from tests.operator.desired.clusters import UID, cluster_from


def owner(kind: str, name: str, uid: str) -> list[dict[str, Any]]:
    return [{"apiVersion": "v1", "kind": kind, "name": name, "uid": uid}]


CRON_JOB = naming.purge_cron_job("shop")


@pytest.mark.parametrize(
    ("owners", "is_ours"),
    [
        pytest.param(owner("SessionCluster", "shop", UID), True, id="of the cluster"),
        pytest.param(owner("CronJob", CRON_JOB, "c"), True, id="of its CronJob"),
        pytest.param(owner("CronJob", CRON_JOB, "b"), False, id="of the CronJob before"),
        pytest.param(owner("SessionCluster", "shop", "first"), False, id="of the one before"),
        pytest.param([], False, id="somebody's"),
    ],
)
def test_a_job_counts_by_its_owner(owners: list[dict[str, Any]], *, is_ours: bool) -> None:
    job = {"metadata": {"name": "one", "ownerReferences": owners}}
    cluster_owned = owner("SessionCluster", "shop", UID)
    cron_job = {"metadata": {"name": CRON_JOB, "uid": "c", "ownerReferences": cluster_owned}}
    children: dict[tuple[Kind, str], KubeObject] = {
        (JOBS, "one"): job,
        (CRON_JOBS, CRON_JOB): cron_job,
        # Its name is no proof of what it is.
        (JOBS, CRON_JOB): {"metadata": {"name": CRON_JOB}},
        (CONFIG_MAPS, "shop-moorline"): {"metadata": {"name": "shop-moorline"}},
    }
    assert jobs_of(cluster_from(), children) == ([job] if is_ours else [])
