"""Pods go on being admitted while the certificate is rotated and the replicas are rolled."""

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from moorline_operator import naming
from moorline_operator.certificates.keeping import ROTATE_NOW
from moorline_operator.errors import KubeError
from moorline_operator.kube.api import Kube
from moorline_operator.kube.kinds import PODS, SECRETS, SESSION_CLUSTERS

from tests.operator.installation import NAMESPACE, Installation, decoded, wait_until
from tests.operator.watching import eventually
from tests.operator.workloads import a_bare_pod, a_session_cluster

# Minutes where the machine is shared.
pytestmark = pytest.mark.timeout(300)

PER_SECOND = 50
IN_FLIGHT = 32
"""On a machine that is too slow for the rate, they come more slowly instead of piling up."""


@dataclass
class Admissions:
    """What became of the pods that were asked for."""

    injected: int = 0
    failed: list[str] = field(default_factory=list)


@contextlib.asynccontextmanager
async def admissions(kube: Kube, namespace: str) -> AsyncIterator[Admissions]:
    """Pods, fifty a second, made and deleted at once, for as long as it is open."""
    found = Admissions()
    room = asyncio.Semaphore(IN_FLIGHT)

    async def admit(number: int) -> None:
        name = f"pod-{number}"
        try:
            pod = await kube.create(PODS, a_bare_pod(namespace, name))
            found.injected += naming.INJECTED in pod["metadata"]["annotations"]
            await kube.delete(PODS, namespace, name)
        except KubeError as error:
            found.failed.append(str(error))
        finally:
            room.release()

    async def ask() -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        async with asyncio.TaskGroup() as tasks:
            number = 0
            while True:
                await room.acquire()
                tasks.create_task(admit(number))
                number += 1
                await asyncio.sleep(max(0.0, begun + number / PER_SECOND - loop.time()))

    asking = asyncio.create_task(ask())
    try:
        yield found
    finally:
        asking.cancel()
        await asyncio.wait({asking})


async def test_no_admission_fails_while_the_authority_is_rotated_twice(
    operator: Installation, kube: Kube, namespace: str
) -> None:
    await kube.create(SESSION_CLUSTERS, a_session_cluster(namespace))
    async with admissions(kube, namespace) as found:
        for _ in range(2):
            secret = await kube.get(SECRETS, NAMESPACE, operator.secret)
            before = decoded(secret)
            annotations = {
                **secret["metadata"].get("annotations", {}),
                ROTATE_NOW: secrets.token_hex(4),
            }
            operations = [{"op": "add", "path": "/metadata/annotations", "value": annotations}]
            await kube.json_patch(SECRETS, NAMESPACE, operator.secret, operations)

            async def is_rotated(before: dict[str, bytes] = before) -> bool:
                now = decoded(await kube.get(SECRETS, NAMESPACE, operator.secret))
                return now["ca.key"] != before["ca.key"] and now["tls.crt"] != before["tls.crt"]

            await eventually(is_rotated, lambda: "the authority is not rotated")
    assert found.failed == []
    assert found.injected >= PER_SECOND


async def test_no_admission_fails_while_both_replicas_are_rolled(
    operator: Installation, kube: Kube, namespace: str
) -> None:
    await kube.create(SESSION_CLUSTERS, a_session_cluster(namespace))
    async with admissions(kube, namespace) as found:
        for replica in operator.replicas:
            replica.ask_to_stop()
            code = await asyncio.to_thread(replica.wait)
            assert code == 0, replica.log[-4000:]
            replica.start()
            await asyncio.to_thread(
                wait_until,
                lambda replica=replica: operator.balancer.leads_to(replica),  # type: ignore[misc]
                "the replica does not get ready",
            )
    assert found.failed == []
    assert found.injected >= PER_SECOND


async def test_the_leader_is_replaced_at_once_when_it_is_rolled_and_in_time_when_it_is_frozen(
    operator: Installation, kube: Kube, namespace: str
) -> None:
    await kube.create(SESSION_CLUSTERS, a_session_cluster(namespace))
    first = await asyncio.to_thread(operator.leader)
    first.freeze()

    async def leads_another() -> bool:
        return (await asyncio.to_thread(operator.leader)) is not first

    await eventually(leads_another, lambda: "nobody takes over from a frozen leader")
    first.thaw()
    # What was frozen for longer than its Lease must not act again: it ends.
    assert await asyncio.to_thread(first.wait) == 1
    assert json.dumps("LeadershipLost") in first.log or "does not hold the Lease" in first.log
