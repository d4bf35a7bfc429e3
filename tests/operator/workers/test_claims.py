import asyncio
from typing import Any

import pytest
from moorline_operator import naming
from moorline_operator.errors import Conflict, Invalid, NotFound
from moorline_operator.kube.kinds import LEASES, PODS, Kind
from moorline_operator.pods import record_of
from moorline_operator.workers.claims import (
    claim,
    give_back,
    holder_of,
    label,
    lease_of,
    reread,
    worker_of,
)

from tests.operator.workers.leader import NAMESPACE, gated_pod
from tests.operator.workers.simulated_api import SimulatedApi

HOLDER = record_of(gated_pod("web-a", uid="a"))
CLAIMANT = record_of(gated_pod("web-b", uid="b"))
LEASE = "moorline-shop-node0"


def named(worker: str) -> dict[str, Any]:
    return {"gates": (), "labels": {naming.WORKER: worker}}


def api_with(holder: dict[str, Any] | None) -> SimulatedApi:
    """The Lease is web-a's with the UID "a"; `holder` is what the pod web-a is like."""
    api = SimulatedApi()
    api.put(LEASES, lease_of(HOLDER, "node0"))
    api.put(PODS, gated_pod("web-b", uid="b"))
    if holder is not None:
        api.put(PODS, gated_pod("web-a", **{"uid": "a", **holder}))
    return api


def holder(api: SimulatedApi) -> str:
    return holder_of(api.objects[LEASES.plural, NAMESPACE, LEASE])


@pytest.mark.parametrize(
    ("pod", "is_won"),
    [
        pytest.param({}, False, id="waits-for-its-label"),
        pytest.param(named("node0"), False, id="has-the-name"),
        pytest.param({"gates": ()}, False, id="its-gate-was-removed"),
        pytest.param({"labels": {naming.WORKER: "node9"}}, False, id="gated-with-another-label"),
        pytest.param(named("node9"), True, id="has-another-name"),
        pytest.param({"status": {"phase": "Failed"}}, True, id="failed"),
        pytest.param({"status": {"phase": "Succeeded"}}, True, id="succeeded"),
        pytest.param(None, True, id="gone"),
        pytest.param({"uid": "a2"}, True, id="another-pod-of-its-name"),
        pytest.param({"labels": {naming.CLUSTER: "blog"}}, True, id="of-another-cluster-by-now"),
    ],
)
async def test_a_name_is_won_from_a_pod_that_needs_it_no_more(
    pod: dict[str, Any] | None, *, is_won: bool
) -> None:
    api = api_with(pod)
    assert await claim(api, CLAIMANT, "node0") is is_won
    assert holder(api) == ("b" if is_won else "a")


async def test_a_lease_that_changes_while_its_holder_is_looked_up_is_judged_again() -> None:
    api = api_with(None)

    async def taken_by_another(verb: str, kind: Kind) -> None:
        if (verb, kind) == ("delete", LEASES) and holder(api) == "a":
            third = gated_pod("web-c", uid="c")
            api.put(PODS, third)
            api.remove(LEASES, NAMESPACE, LEASE)
            api.put(LEASES, lease_of(record_of(third), "node0"))

    api.before = taken_by_another
    assert not await claim(api, CLAIMANT, "node0")
    assert holder(api) == "c"


async def test_a_lease_that_never_holds_still_is_left_alone_for_a_while() -> None:
    api = api_with(None)

    async def touch(verb: str, _kind: Kind) -> None:
        if verb == "delete":
            api.merge(LEASES, NAMESPACE, LEASE, {})

    api.before = touch
    with pytest.raises(Conflict):
        await claim(api, CLAIMANT, "node0")


async def test_of_many_claims_of_a_freed_name_one_wins() -> None:
    api = api_with(None)
    pods = [gated_pod(f"web-{n}", uid=f"u{n}") for n in range(10)]
    for pod in pods:
        api.put(PODS, pod)

    async def pause(_verb: str, _kind: Kind) -> None:
        await asyncio.sleep(0)

    api.before = api.after = pause
    won = await asyncio.gather(*(claim(api, record_of(pod), "node0") for pod in pods))
    assert won.count(True) == 1
    assert holder(api) == f"u{won.index(True)}"


@pytest.mark.parametrize(
    "now",
    [
        pytest.param({"uid": "b2"}, id="another-pod-of-that-name"),
        pytest.param({"gates": ()}, id="without-gates"),
        pytest.param({"gates": ("example.com/other",)}, id="with-another-gate"),
        pytest.param({"gates": ("example.com/other", naming.GATE)}, id="with-the-gate-elsewhere"),
        pytest.param({"cluster": "blog"}, id="of-another-cluster"),
    ],
)
async def test_only_the_pod_that_was_meant_is_labelled(now: dict[str, Any]) -> None:
    api = SimulatedApi()
    api.put(PODS, gated_pod("web-b", **{"uid": "b", **now}))
    with pytest.raises(Invalid):
        await label(api, CLAIMANT, "node0")
    (pod,) = api.of(PODS)
    assert naming.WORKER not in pod["metadata"]["labels"]


async def test_a_pod_that_is_gone_cannot_be_labelled() -> None:
    with pytest.raises(NotFound):
        await label(SimulatedApi(), CLAIMANT, "node0")


@pytest.mark.parametrize(("uid", "expected"), [("b", True), ("b2", False)])
async def test_another_pod_of_the_same_name_is_not_the_same_pod(
    uid: str, *, expected: bool
) -> None:
    api = SimulatedApi()
    api.put(PODS, gated_pod("web-b", uid=uid))
    assert (await reread(api, CLAIMANT) == CLAIMANT) is expected


async def test_only_the_own_lease_is_given_back() -> None:
    api = api_with(None)
    await give_back(api, CLAIMANT, "node0")
    assert holder(api) == "a"
    await give_back(api, HOLDER, "node0")
    assert api.of(LEASES) == []


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("moorline-shop-node3", {naming.CLUSTER: "shop"}, ("shop", "node3")),
        ("moorline-my-shop-node3", {naming.CLUSTER: "my-shop"}, ("my-shop", "node3")),
        ("moorline-shop-node3", {naming.CLUSTER: "blog"}, None),
        ("moorline-operator", {}, None),
        ("moorline-shop-", {naming.CLUSTER: "shop"}, None),
    ],
)
def test_a_lease_tells_what_it_is_for(
    name: str, labels: dict[str, str], expected: tuple[str, str] | None
) -> None:
    assert worker_of({"metadata": {"name": name, "labels": labels}}) == expected
