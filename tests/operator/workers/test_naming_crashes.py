"""The leader is killed at every single point of naming a few pods."""

import asyncio

import pytest
from moorline_operator.kube.kinds import PODS, Kind

from tests.operator.workers.leader import NAMESPACE, Leader, Ready, gated_pod, stateful_pod
from tests.operator.workers.referee import Referee
from tests.operator.workers.simulated_api import SimulatedApi, undisturbed

pytestmark = pytest.mark.looptime(noop_cycles=0)

PODS_AT_ONCE = 5
POINTS = 4 * PODS_AT_ONCE
"""Two requests a pod, and each may be the last that was sent or the last that was applied."""


class Countdown:
    """Lets that many points pass, one after the other, then blocks for ever."""

    def __init__(self, points: int) -> None:
        self._left = points

    async def __call__(self, _verb: str, _kind: Kind) -> None:
        if self._left == 0:
            await asyncio.Event().wait()
        self._left -= 1


@pytest.mark.parametrize("goes", [False, True], ids=["all-stay", "one-goes"])
@pytest.mark.parametrize("points", range(POINTS + 1))
async def test_a_leader_that_is_killed_anywhere_leaves_nothing_that_the_next_cannot_finish(
    points: int, *, goes: bool
) -> None:
    api = SimulatedApi()
    referee = Referee(api)
    for ordinal in range(2):
        api.put(PODS, stateful_pod(ordinal))
    for number in range(PODS_AT_ONCE - 2):
        api.put(PODS, gated_pod(f"web-{number}"))
    api.before = api.after = Countdown(points)
    first = Leader(api, Ready())
    first.start()
    await asyncio.sleep(1)
    await first.crash()
    api.before = api.after = undisturbed
    if goes:
        api.remove(PODS, NAMESPACE, "web-0")
    second = Leader(api, Ready())
    second.start()
    await asyncio.sleep(1)
    await second.crash()
    api.collect_garbage()
    assert not referee.faults
    named = {f"moorline-shop-{pod.worker}": pod.uid for pod in referee.pods()}
    assert len(named) == PODS_AT_ONCE - goes
    assert referee.leases() == named
