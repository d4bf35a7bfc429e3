"""Naming against a real API server: its atomicity, its patches, its garbage collector."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

import pytest
from moorline_operator import naming
from moorline_operator.kube.api import Kube, KubeObject
from moorline_operator.kube.kinds import LEASES, PODS
from moorline_operator.pods import PodRecord, record_of

from tests.operator.control_plane import ControlPlane
from tests.operator.workers.leader import Measured
from tests.operator.workers.watching import create_all, leading, listed

DEADLINE_SECONDS: Final = 90.0
CROWD: Final = 200


def a_pod(namespace: str, name: str, **metadata: str) -> KubeObject:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {naming.CLUSTER: "shop"},
            **metadata,
        },
        "spec": {
            "containers": [{"name": "app", "image": "example.com/app"}],
            "schedulingGates": [{"name": naming.GATE}],
        },
    }


async def records(kube: Kube, namespace: str) -> list[PodRecord]:
    return [record_of(pod) for pod in await listed(kube, PODS, namespace)]


async def until(is_reached: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not await is_reached():
        assert time.monotonic() < deadline, "it does not come about"
        await asyncio.sleep(0.2)


async def all_named(kube: Kube, namespace: str, count: int) -> None:
    """Wait until there are so many pods, all with names."""

    async def is_so() -> bool:
        found = await records(kube, namespace)
        return len(found) == count and all(pod.worker and pod.gate is None for pod in found)

    await until(is_so)


async def check(kube: Kube, namespace: str) -> None:
    """Names are unique, and each is held by the Lease that the pod owns."""
    pods = await records(kube, namespace)
    holders = {
        lease["metadata"]["name"]: (
            lease["spec"]["holderIdentity"],
            lease["metadata"]["ownerReferences"][0]["uid"],
        )
        for lease in await listed(kube, LEASES, namespace)
    }
    expected = {naming.lease("shop", pod.worker): (pod.uid, pod.uid) for pod in pods}
    assert Counter(pod.worker for pod in pods).most_common(1)[0][1] == 1
    assert holders == expected


async def test_two_hundred_pods_at_once_have_two_hundred_names_and_leave_no_lease(
    kube: Kube, namespace: str, control_plane: ControlPlane
) -> None:
    measured = Measured()
    started = time.monotonic()
    await create_all(kube, [a_pod(namespace, f"web-{n}") for n in range(CROWD)])
    created = time.monotonic()
    async with leading(kube, namespace, measured):
        await all_named(kube, namespace, CROWD)
    print(f"{CROWD} pods: made in {created - started:.2f} s,", end=" ")  # noqa: T201 - for -s
    print(f"named in {max(measured.seconds):.2f} s")  # noqa: T201 - for -s
    await check(kube, namespace)
    names = {pod.worker for pod in await records(kube, namespace)}
    assert names == {f"node{n}" for n in range(CROWD)}

    # Nobody runs any more who could free a name.
    delete = ("delete", "pods", "--all", f"--namespace={namespace}", "--wait=false")
    await asyncio.to_thread(control_plane.kubectl, *delete)

    async def is_clean() -> bool:
        return not await listed(kube, LEASES, namespace)

    await until(is_clean)


async def test_namers_that_are_killed_again_and_again_name_two_hundred_pods_once_each(
    kube: Kube, namespace: str
) -> None:
    seen: dict[str, str] = {}
    creating = asyncio.create_task(
        create_all(kube, [a_pod(namespace, f"web-{n}") for n in range(CROWD)])
    )
    for _ in range(20):
        async with leading(kube, namespace, Measured()):
            # At a random point, which is the point: no condition is waited for.
            await asyncio.sleep(random.uniform(0.0, 0.15))
        for pod in await records(kube, namespace):
            if pod.worker:
                assert seen.setdefault(pod.worker, pod.uid) == pod.uid
    await creating
    async with leading(kube, namespace, Measured()):
        await all_named(kube, namespace, CROWD)
    await check(kube, namespace)


async def test_two_namers_at_once_give_no_name_twice(kube: Kube, namespace: str) -> None:
    await create_all(kube, [a_pod(namespace, f"web-{n}") for n in range(60)])
    async with (
        leading(kube, namespace, Measured()),
        leading(kube, namespace, Measured()),
    ):
        await all_named(kube, namespace, 60)
    pods = await records(kube, namespace)
    assert len({pod.worker for pod in pods}) == 60


async def test_pods_of_a_statefulset_have_their_ordinals_in_every_life(
    kube: Kube, namespace: str, control_plane: ControlPlane
) -> None:
    template = a_pod(namespace, "")
    del template["metadata"]["name"], template["metadata"]["namespace"]
    stateful = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "db"},
        "spec": {
            "replicas": 3,
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": {naming.CLUSTER: "shop"}},
            "template": {"metadata": template["metadata"], "spec": template["spec"]},
        },
    }
    apply = ("apply", "-f", "-", "-n", namespace)
    async with leading(kube, namespace, Measured()):
        await asyncio.to_thread(control_plane.kubectl, *apply, stdin=json.dumps(stateful))
        await all_named(kube, namespace, 3)
        first = {pod.name: (pod.worker, pod.uid) for pod in await records(kube, namespace)}
        await kube.delete(PODS, namespace, "db-1")

        async def is_back() -> bool:
            found = {pod.name: pod for pod in await records(kube, namespace)}
            again = found.get("db-1")
            return again is not None and bool(again.worker) and again.uid != first["db-1"][1]

        await until(is_back)
    names = {pod.name: pod.worker for pod in await records(kube, namespace)}
    assert names == {"db-0": "node0", "db-1": "node1", "db-2": "node2"}
    await check(kube, namespace)


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
async def test_the_lease_of_a_finished_pod_is_deleted(
    kube: Kube, namespace: str, control_plane: ControlPlane, phase: str
) -> None:
    await create_all(kube, [a_pod(namespace, "job-1"), a_pod(namespace, "job-2")])
    async with leading(kube, namespace, Measured()):
        await all_named(kube, namespace, 2)
        patch = ("patch", "pod", "job-1", "-n", namespace, "--subresource=status")
        status = json.dumps({"status": {"phase": phase}})
        await asyncio.to_thread(control_plane.kubectl, *patch, f"--patch={status}")

        async def is_freed() -> bool:
            return len(await listed(kube, LEASES, namespace)) == 1

        await until(is_freed)
