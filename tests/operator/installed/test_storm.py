"""Names stay unique while the operator dies, and are freed without it."""

import asyncio
from collections import Counter

import pytest
from moorline_operator import naming
from moorline_operator.kube.api import Kube
from moorline_operator.kube.kinds import LEASES, PODS, SESSION_CLUSTERS

from tests.operator.installation import Installation
from tests.operator.watching import (
    eventually,
    everything,
    names_given_twice,
    names_of,
    recorded,
    records,
)
from tests.operator.workloads import REPLICA_SETS, a_session_cluster, a_workload

# Minutes where the machine is shared.
pytestmark = pytest.mark.timeout(300)

PODS_AT_ONCE = 200
KILLS = 6


async def test_two_hundred_pods_at_once_while_the_replicas_are_killed_in_turn(
    operator: Installation, kube: Kube, namespace: str
) -> None:
    await kube.create(SESSION_CLUSTERS, a_session_cluster(namespace))
    async with recorded(kube, namespace) as events:
        await kube.create(REPLICA_SETS, a_workload(REPLICA_SETS, namespace, replicas=PODS_AT_ONCE))
        await _kill_in_turn(operator, kube, namespace)
        names = await names_of(kube, namespace, PODS_AT_ONCE, seconds=90)
    assert len(set(names)) == PODS_AT_ONCE
    assert names_given_twice(events) == []
    pods = {pod["metadata"]["uid"] for pod in await everything(kube, PODS, namespace)}
    leases = await everything(kube, LEASES, namespace, naming.CLUSTER)
    owners = Counter(lease["metadata"]["ownerReferences"][0]["uid"] for lease in leases)
    assert set(owners) >= pods
    assert {lease["spec"]["holderIdentity"] for lease in leases} <= set(owners)

    for replica in operator.replicas:
        await asyncio.to_thread(replica.stop)
    await kube.delete(REPLICA_SETS, namespace, "web")

    async def are_freed() -> bool:
        return not await everything(kube, LEASES, namespace, naming.CLUSTER)

    await eventually(are_freed, lambda: "Leases are left without the operator", 90)


async def _kill_in_turn(operator: Installation, kube: Kube, namespace: str) -> None:
    """Kill one and then the other, each time after some more pods have been named."""
    for number in range(KILLS):
        goal = (number + 1) * PODS_AT_ONCE // (KILLS + 2)

        async def has_gone_on(goal: int = goal) -> bool:
            return sum(bool(pod.worker) for pod in await records(kube, namespace)) >= goal

        await eventually(has_gone_on, lambda: "naming does not go on")
        victim = await asyncio.to_thread(operator.leader)
        await asyncio.to_thread(victim.kill)
        victim.start()


@pytest.mark.usefixtures("operator")
async def test_two_hundred_pods_are_named_soon(kube: Kube, namespace: str) -> None:
    await kube.create(SESSION_CLUSTERS, a_session_cluster(namespace))
    await kube.create(REPLICA_SETS, a_workload(REPLICA_SETS, namespace, replicas=PODS_AT_ONCE))
    names = await names_of(kube, namespace, PODS_AT_ONCE)
    assert sorted(names, key=lambda name: int(name.removeprefix("node"))) == [
        f"node{number}" for number in range(PODS_AT_ONCE)
    ]
