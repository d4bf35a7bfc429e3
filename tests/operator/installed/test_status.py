"""The status tells what is so, and turns green by itself; nobody who reads it needs a log."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from moorline_operator import naming
from moorline_operator.kube.api import Kube
from moorline_operator.kube.kinds import EVENTS, JOBS, LEASES, SECRETS, SESSION_CLUSTERS

from tests.operator.installation import NAMESPACE, Installation
from tests.operator.kubelet import running_tasks
from tests.operator.watching import condition, eventually, everything, until_reason
from tests.operator.workloads import (
    DEPLOYMENTS,
    a_secret,
    a_session_cluster,
    a_workload,
    with_mongodb,
)

# Minutes where the machine is shared.
pytestmark = [pytest.mark.usefixtures("operator"), pytest.mark.timeout(400)]

TRIES = 3


async def annotate(kube: Kube, namespace: str, name: str, value: str) -> None:
    cluster = await kube.get(SESSION_CLUSTERS, namespace, "shop")
    annotations = {**cluster["metadata"].get("annotations", {}), name: value}
    operations = [{"op": "add", "path": "/metadata/annotations", "value": annotations}]
    await kube.json_patch(SESSION_CLUSTERS, namespace, "shop", operations)


async def status(kube: Kube, namespace: str) -> dict[str, Any]:
    found: dict[str, Any] = (await kube.get(SESSION_CLUSTERS, namespace, "shop")).get("status", {})
    return found


async def until_told_of(kube: Kube, namespace: str, *reasons: str) -> None:
    """Events are written after the status that they tell of."""
    seen: set[str] = set()

    async def look() -> bool:
        seen.update(event["reason"] for event in await everything(kube, EVENTS, namespace))
        return seen.issuperset(reasons)

    await eventually(look, lambda: f"of {reasons}, only {seen} became events")


async def test_a_missing_secret_is_named_and_a_repaired_one_turns_the_status_green(
    kube: Kube, namespace: str, mongo_uri: str, tmp_path: Path
) -> None:
    async with running_tasks(kube, namespace, tmp_path) as ran:
        await kube.create(SESSION_CLUSTERS, a_session_cluster(namespace, spec=with_mongodb()))
        told = await until_reason(kube, namespace, "shop", "BackendReady", "SecretNotFound")
        assert "shop-mongodb" in told["message"]
        assert (await condition(kube, namespace, "shop", "Ready"))["status"] == "False"
        await kube.create(SECRETS, a_secret(namespace, mongo_uri))
        # It is checked again by itself within half a minute; who cannot wait says so.
        await annotate(kube, namespace, naming.CHECK_NOW, "1")
        await until_reason(kube, namespace, "shop", "BackendReady", "Ready")
        await until_reason(kube, namespace, "shop", "Ready", "AllReady")
        assert set(ran) == {"check"}
        assert len(await everything(kube, JOBS, namespace, f"{naming.TASK}=check")) == 1
    await until_told_of(kube, namespace, "BackendUnreachable", "BackendRecovered")


async def test_a_purge_that_was_asked_for_tells_its_numbers(
    kube: Kube, namespace: str, mongo_uri: str, tmp_path: Path
) -> None:
    await kube.create(SECRETS, a_secret(namespace, mongo_uri))
    async with running_tasks(kube, namespace, tmp_path):
        await kube.create(SESSION_CLUSTERS, a_session_cluster(namespace, spec=with_mongodb()))
        await until_reason(kube, namespace, "shop", "BackendReady", "Ready")
        await annotate(kube, namespace, naming.PURGE_NOW, "now")
        told = await until_reason(kube, namespace, "shop", "PurgeHealthy", "LastRunSucceeded")
        assert told["status"] == "True"
    purge = (await status(kube, namespace))["purge"]
    assert purge["handledToken"] == "now"
    assert purge["lastRun"] == purge["lastSuccess"]
    assert (purge["invalidDeleted"], purge["validDeleted"]) == (0, 0)
    assert len(await everything(kube, JOBS, namespace, f"{naming.TASK}=purge")) == 1


async def test_a_purge_that_fails_says_why(
    kube: Kube, namespace: str, mongo_uri: str, tmp_path: Path
) -> None:
    await kube.create(SECRETS, a_secret(namespace, mongo_uri))
    async with running_tasks(kube, namespace, tmp_path):
        await kube.create(SESSION_CLUSTERS, a_session_cluster(namespace, spec=with_mongodb()))
        await until_reason(kube, namespace, "shop", "BackendReady", "Ready")
        # A mistake, so that it is not tried again.
        stale = a_secret(namespace, f"{mongo_uri}?readPreference=secondary")
        await kube.apply(SECRETS, stale)
        await annotate(kube, namespace, naming.PURGE_NOW, "now")

        async def has_failed() -> bool:
            return (await condition(kube, namespace, "shop", "PurgeHealthy"))["status"] == "False"

        await eventually(has_failed, lambda: "PurgeHealthy does not turn False")
    told = await condition(kube, namespace, "shop", "PurgeHealthy")
    assert "readPreference" in told["message"]
    # What is served does not depend on it.
    assert (await condition(kube, namespace, "shop", "Ready"))["status"] == "True"


async def test_an_older_sidecar_is_told_of_with_the_command_that_renews_it(
    kube: Kube, namespace: str
) -> None:
    await kube.create(SESSION_CLUSTERS, a_session_cluster(namespace))
    await kube.create(DEPLOYMENTS, a_workload(DEPLOYMENTS, namespace, replicas=2))
    await until_reason(kube, namespace, "shop", "SidecarsUpToDate", "UpToDate")
    operations = [{"op": "replace", "path": "/spec/sidecar/image", "value": "example/newer:2"}]

    async def has_pods() -> bool:
        found = (await status(kube, namespace)).get("workers", {})
        return bool(found.get("named") == 2)

    await eventually(has_pods, lambda: "the pods are not named")
    await kube.json_patch(SESSION_CLUSTERS, namespace, "shop", operations)
    told = await until_reason(kube, namespace, "shop", "SidecarsUpToDate", "RestartRequired")
    assert f"kubectl -n {namespace} rollout restart deployment/web" in told["message"]
    found = await status(kube, namespace)
    assert found["workers"]["outdated"] == 2
    assert found["workers"]["summary"] == "0/2"
    assert found["sidecarImage"] == "example/newer:2"


async def test_one_quiet_minute_writes_nothing_but_the_leader_s_lease(
    operator: Installation, kube: Kube, namespace: str
) -> None:
    await kube.create(SESSION_CLUSTERS, a_session_cluster(namespace))
    await kube.create(DEPLOYMENTS, a_workload(DEPLOYMENTS, namespace, replicas=2))
    await until_reason(kube, namespace, "shop", "WorkersReady", "NotReady")
    # A leader that is new looks at everything, and one may lose its Lease on a busy machine.
    for _ in range(TRIES):
        settled, leader = await _settled(operator, namespace), await _leader(operator, kube)
        requests = len(await asyncio.to_thread(operator.control_plane.audit))
        await asyncio.sleep(60)
        if await _leader(operator, kube) == leader:
            break
    else:
        pytest.fail("no leader lasts for a minute")
    assert (await _writes(operator, namespace))[settled:] == []
    assert len(await asyncio.to_thread(operator.control_plane.audit)) > requests


async def _leader(operator: Installation, kube: Kube) -> str:
    identity: str = (await kube.get(LEASES, NAMESPACE, operator.lease))["spec"]["holderIdentity"]
    return identity


async def _settled(operator: Installation, namespace: str) -> int:
    """How many writes there are once nothing more is written."""
    settled = len(await _writes(operator, namespace))

    async def is_settled() -> bool:
        nonlocal settled
        await asyncio.sleep(5)
        before, settled = settled, len(await _writes(operator, namespace))
        return before == settled

    await eventually(is_settled, lambda: "the operator does not come to rest")
    return settled


async def _writes(operator: Installation, namespace: str) -> list[str]:
    """What the operator's account wrote so far: there, and of what is in no namespace.

    What tests before have left is still being deleted in others, which is not quiet.
    """
    audit = await asyncio.to_thread(operator.control_plane.audit)
    return [
        f"{entry['verb']} {entry['requestURI']}"
        for entry in audit
        if entry["user"]["username"] == operator.account
        and entry["verb"] not in ("get", "list", "watch")
        and entry.get("objectRef", {}).get("namespace", "") in ("", namespace)
    ]


async def test_a_leader_that_starts_tells_nothing_that_was_told_already(
    operator: Installation, kube: Kube, namespace: str
) -> None:
    await kube.create(SESSION_CLUSTERS, a_session_cluster(namespace))
    await kube.create(DEPLOYMENTS, a_workload(DEPLOYMENTS, namespace, replicas=20))

    async def is_told() -> bool:
        return bool((await status(kube, namespace)).get("workers", {}).get("named") == 20)

    await eventually(is_told, lambda: "the status does not tell of all workers")
    first = await asyncio.to_thread(operator.leader)
    before = await kube.get(SESSION_CLUSTERS, namespace, "shop")
    await asyncio.to_thread(first.stop)

    async def has_looked() -> bool:
        looks = await asyncio.to_thread(operator.metrics)
        return looks.get('moorline_operator_reconciles_total{result="ok"}', 0.0) > 0

    await eventually(has_looked, lambda: "nobody looks at the SessionCluster")
    found = await kube.get(SESSION_CLUSTERS, namespace, "shop")
    assert found["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
