from typing import Any

import pytest
from moorline_operator.kube.kinds import CONFIG_MAPS, JOBS
from moorline_operator.tasks import jobs_of

from tests.operator.desired.clusters import UID, cluster_from


def owner(kind: str, name: str, uid: str) -> list[dict[str, Any]]:
    return [{"apiVersion": "v1", "kind": kind, "name": name, "uid": uid}]


@pytest.mark.parametrize(
    ("owners", "is_ours"),
    [
        pytest.param(owner("SessionCluster", "shop", UID), True, id="of the cluster"),
        pytest.param(owner("CronJob", "shop-moorline-purge", "c"), True, id="of its CronJob"),
        pytest.param(owner("SessionCluster", "shop", "first"), False, id="of the one before"),
        pytest.param([], False, id="somebody's"),
    ],
)
def test_a_job_counts_by_its_owner(owners: list[dict[str, Any]], *, is_ours: bool) -> None:
    child = {"metadata": {"name": "one", "ownerReferences": owners}}
    children = {(JOBS, "one"): child, (CONFIG_MAPS, "shop-moorline"): child}
    assert jobs_of(cluster_from(), children) == ([child] if is_ours else [])
