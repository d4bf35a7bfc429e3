"""Children follow their SessionCluster, are repaired, and go with it."""

import asyncio
import json
from typing import Any

import pytest
from moorline_operator import naming
from moorline_operator.errors import NotFound
from moorline_operator.kube.api import Kube
from moorline_operator.kube.kinds import (
    CONFIG_MAPS,
    CRON_JOBS,
    NETWORK_POLICIES,
    SESSION_CLUSTERS,
    Kind,
)

from tests.operator.control_plane import ControlPlane
from tests.operator.installation import Installation
from tests.operator.watching import condition, eventually, names_of
from tests.operator.workloads import DEPLOYMENTS, a_session_cluster, a_workload

CONFIG = naming.config_map("shop")
PURGE = naming.purge_cron_job("shop")


async def until_there(kube: Kube, kind: Kind, namespace: str, name: str) -> None:
    async def is_there() -> bool:
        try:
            await kube.get(kind, namespace, name)
        except NotFound:
            return False
        return True

    await eventually(is_there, lambda: f"there is no {kind.name} {name}")


async def until_gone(kube: Kube, kind: Kind, namespace: str, name: str) -> None:
    async def is_gone() -> bool:
        try:
            await kube.get(kind, namespace, name)
        except NotFound:
            return True
        return False

    await eventually(is_gone, lambda: f"{kind.name} {name} is still there")


async def configured(kube: Kube, namespace: str) -> dict[str, Any]:
    """The spec in the ConfigMap."""
    found = await kube.get(CONFIG_MAPS, namespace, CONFIG)
    spec: dict[str, Any] = json.loads(found["data"][naming.CONFIG_FILE])["spec"]
    return spec


@pytest.mark.usefixtures("operator")
async def test_children_follow_the_spec(kube: Kube, namespace: str) -> None:
    await kube.create(
        SESSION_CLUSTERS,
        a_session_cluster(namespace, spec={"monitoring": {"networkPolicy": True}}),
    )
    await until_there(kube, NETWORK_POLICIES, namespace, naming.network_policy("shop"))
    operations: list[dict[str, Any]] = [
        {"op": "replace", "path": "/spec/purge/schedule", "value": "5 4 * * *"},
        {"op": "replace", "path": "/spec/sessions/maxIdle", "value": "7m"},
        {"op": "replace", "path": "/spec/monitoring/networkPolicy", "value": False},
    ]
    await kube.json_patch(SESSION_CLUSTERS, namespace, "shop", operations)
    await until_gone(kube, NETWORK_POLICIES, namespace, naming.network_policy("shop"))
    cron_job = await kube.get(CRON_JOBS, namespace, PURGE)
    assert cron_job["spec"]["schedule"] == "5 4 * * *"
    assert (await configured(kube, namespace))["sessions"]["maxIdle"] == "7m"
    cluster = await kube.get(SESSION_CLUSTERS, namespace, "shop")
    # The verbatim spec: nothing more, nothing less.
    assert await configured(kube, namespace) == cluster["spec"]


@pytest.mark.usefixtures("operator")
async def test_what_was_changed_or_deleted_by_hand_is_repaired(kube: Kube, namespace: str) -> None:
    await kube.create(SESSION_CLUSTERS, a_session_cluster(namespace))
    await until_there(kube, CRON_JOBS, namespace, PURGE)
    before = await kube.get(CONFIG_MAPS, namespace, CONFIG)
    by_hand = [
        {"op": "replace", "path": "/data", "value": {naming.CONFIG_FILE: "{}", "more": "mine"}}
    ]
    await kube.json_patch(CONFIG_MAPS, namespace, CONFIG, by_hand)

    async def is_repaired() -> bool:
        found = await kube.get(CONFIG_MAPS, namespace, CONFIG)
        wanted = before["data"][naming.CONFIG_FILE]
        return bool(found["data"].get(naming.CONFIG_FILE) == wanted)

    await eventually(is_repaired, lambda: "the ConfigMap is not repaired")
    suspended = [{"op": "replace", "path": "/spec/suspend", "value": True}]
    await kube.json_patch(CRON_JOBS, namespace, PURGE, suspended)

    async def purges() -> bool:
        found = await kube.get(CRON_JOBS, namespace, PURGE)
        return found["spec"]["suspend"] is False

    await eventually(purges, lambda: "the CronJob is not repaired")
    await kube.delete(CONFIG_MAPS, namespace, CONFIG)
    await until_there(kube, CONFIG_MAPS, namespace, CONFIG)


@pytest.mark.usefixtures("operator")
async def test_a_suspended_cluster_s_children_are_left_alone(kube: Kube, namespace: str) -> None:
    await kube.create(SESSION_CLUSTERS, a_session_cluster(namespace))
    await until_there(kube, CRON_JOBS, namespace, PURGE)
    operations = [{"op": "replace", "path": "/spec/suspend", "value": True}]
    await kube.json_patch(SESSION_CLUSTERS, namespace, "shop", operations)

    async def is_told() -> bool:
        found = await condition(kube, namespace, "shop", "Ready")
        return found.get("reason") == "Suspended"

    await eventually(is_told, lambda: "the status does not say that it is suspended")
    await kube.delete(CONFIG_MAPS, namespace, CONFIG)
    # A later change that is acted upon shows that the earlier one was not.
    await kube.create(SESSION_CLUSTERS, a_session_cluster(namespace, "blog"))
    await until_there(kube, CRON_JOBS, namespace, naming.purge_cron_job("blog"))
    with pytest.raises(NotFound):
        await kube.get(CONFIG_MAPS, namespace, CONFIG)


async def test_a_cluster_and_a_namespace_can_be_deleted_without_the_operator(
    operator: Installation, control_plane: ControlPlane, kube: Kube, namespace: str
) -> None:
    for name in ("shop", "blog"):
        await kube.create(SESSION_CLUSTERS, a_session_cluster(namespace, name))
    await kube.create(DEPLOYMENTS, a_workload(DEPLOYMENTS, namespace, replicas=2))
    await names_of(kube, namespace, 2)
    await until_there(kube, CRON_JOBS, namespace, naming.purge_cron_job("blog"))
    for replica in operator.replicas:
        await asyncio.to_thread(replica.stop)
    await kube.delete(SESSION_CLUSTERS, namespace, "blog")
    await until_gone(kube, CONFIG_MAPS, namespace, naming.config_map("blog"))
    await until_gone(kube, CRON_JOBS, namespace, naming.purge_cron_job("blog"))
    await asyncio.to_thread(
        control_plane.kubectl, "delete", "namespace", namespace, "--timeout=60s"
    )
