"""A pod with the label gets its sidecar, its gate, and then its name."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from moorline_operator import naming
from moorline_operator.errors import Forbidden
from moorline_operator.kube.api import Kube
from moorline_operator.kube.kinds import LEASES, PODS, SESSION_CLUSTERS

from tests.operator.installation import Installation
from tests.operator.watching import eventually, everything, names_of, records
from tests.operator.workloads import (
    DEPLOYMENTS,
    REPLICA_SETS,
    STATEFUL_SETS,
    a_bare_pod,
    a_session_cluster,
    a_workload,
)

pytestmark = pytest.mark.usefixtures("operator")


async def test_the_pods_of_a_deployment_get_sidecars_and_names(kube: Kube, namespace: str) -> None:
    await kube.create(SESSION_CLUSTERS, a_session_cluster(namespace))
    await kube.create(DEPLOYMENTS, a_workload(DEPLOYMENTS, namespace, replicas=3))
    assert await names_of(kube, namespace, 3) == ["node0", "node1", "node2"]
    for pod in await everything(kube, PODS, namespace):
        assert pod["spec"]["initContainers"][0]["name"] == naming.CONTAINER
        assert "schedulingGates" not in pod["spec"]
    for lease in await everything(kube, LEASES, namespace, naming.CLUSTER):
        owner = lease["metadata"]["ownerReferences"][0]
        assert lease["spec"]["holderIdentity"] == owner["uid"]
        assert "blockOwnerDeletion" not in owner


async def test_ordinals_of_a_stateful_set_are_its_workers_numbers(
    kube: Kube, namespace: str
) -> None:
    await kube.create(SESSION_CLUSTERS, a_session_cluster(namespace))
    await kube.create(STATEFUL_SETS, a_workload(STATEFUL_SETS, namespace, "db", replicas=3))
    await names_of(kube, namespace, 3)
    found = {pod.name: pod.worker for pod in await records(kube, namespace)}
    assert found == {"db-0": "node0", "db-1": "node1", "db-2": "node2"}


async def test_a_pod_without_the_label_is_left_alone(kube: Kube, namespace: str) -> None:
    pod = await kube.create(PODS, a_bare_pod(namespace, "plain", cluster=None))
    assert "initContainers" not in pod["spec"]
    assert "schedulingGates" not in pod["spec"]


async def test_a_pod_of_an_unknown_cluster_is_refused_in_a_sentence(
    kube: Kube, namespace: str
) -> None:
    with pytest.raises(Forbidden) as caught:
        await kube.create(PODS, a_bare_pod(namespace, "early", cluster="nobody"))
    assert 'there is no SessionCluster "nobody"' in caught.value.detail
    assert "tried again" in caught.value.detail


async def test_a_cluster_that_comes_after_its_deployment_starts_the_pods(
    operator: Installation, kube: Kube, namespace: str
) -> None:
    both: list[dict[str, Any]] = [
        a_workload(DEPLOYMENTS, namespace, replicas=2),
        a_session_cluster(namespace),
    ]
    await asyncio.to_thread(
        operator.control_plane.kubectl, "apply", "-f", "-", stdin=yaml.safe_dump_all(both)
    )
    assert await names_of(kube, namespace, 2) == ["node0", "node1"]


async def test_a_chart_that_holds_both_starts_its_pods(
    operator: Installation, kube: Kube, namespace: str, tmp_path: Path
) -> None:
    # Helm makes what it does not know last: the SessionCluster comes after its Deployment.
    chart = {"apiVersion": "v2", "name": "shop", "version": "1.0.0"}
    (tmp_path / "Chart.yaml").write_text(yaml.safe_dump(chart), encoding="utf-8")
    (tmp_path / "templates").mkdir()
    for name, obj in {
        "deployment": a_workload(DEPLOYMENTS, namespace, replicas=2),
        "sessions": a_session_cluster(namespace),
    }.items():
        (tmp_path / "templates" / f"{name}.yaml").write_text(yaml.safe_dump(obj), encoding="utf-8")
    await asyncio.to_thread(
        operator.control_plane.helm, "install", "shop", str(tmp_path), "--namespace", namespace
    )
    assert await names_of(kube, namespace, 2) == ["node0", "node1"]


async def test_the_leader_s_metrics_tell_what_it_did(
    operator: Installation, kube: Kube, namespace: str
) -> None:
    await kube.create(SESSION_CLUSTERS, a_session_cluster(namespace))
    await kube.create(PODS, a_bare_pod(namespace, "one"))
    await names_of(kube, namespace, 1)
    state = f'{{cluster="shop",namespace="{namespace}",state="named"}}'
    found: dict[str, float] = {}

    async def is_counted() -> bool:
        found.update(await asyncio.to_thread(operator.metrics))
        return found.get(f"moorline_operator_workers{state}") == 1

    await eventually(is_counted, lambda: f"the worker is not counted: {found}")
    assert found["moorline_operator_leader"] == 1
    assert found["moorline_operator_names_total"] >= 1
    assert found["moorline_operator_certificate_remaining_seconds"] > 86_400
    assert found['moorline_operator_watch_silence_seconds{watch="kopf"}'] < 60


async def test_names_are_freed_with_their_pods_and_given_again(kube: Kube, namespace: str) -> None:
    await kube.create(SESSION_CLUSTERS, a_session_cluster(namespace))
    await kube.create(REPLICA_SETS, a_workload(REPLICA_SETS, namespace, replicas=2))
    await names_of(kube, namespace, 2)
    first = next(pod for pod in await records(kube, namespace) if pod.worker == "node0")
    await kube.delete(PODS, namespace, first.name)

    async def has_other_names() -> bool:
        names = sorted(pod.worker for pod in await records(kube, namespace))
        return names == ["node1", "node2"]

    # One that was freed within the last minute comes last.
    await eventually(has_other_names, lambda: "the new pod is not named")


async def test_pods_of_a_suspended_cluster_wait(kube: Kube, namespace: str) -> None:
    cluster = await kube.create(
        SESSION_CLUSTERS, a_session_cluster(namespace, spec={"suspend": True})
    )
    await kube.create(PODS, a_bare_pod(namespace, "waits"))

    async def is_told() -> bool:
        found = await kube.get(SESSION_CLUSTERS, namespace, "shop")
        return bool(found.get("status", {}).get("workers", {}).get("selected") == 1)

    await eventually(is_told, lambda: "the pod is not counted")
    assert [pod.worker for pod in await records(kube, namespace)] == [""]
    operations = json.loads('[{"op": "replace", "path": "/spec/suspend", "value": false}]')
    await kube.json_patch(SESSION_CLUSTERS, namespace, cluster["metadata"]["name"], operations)
    assert await names_of(kube, namespace, 1) == ["node0"]
