"""A pod frozen with its node's kubelet, force-deleted, then thawed: it changes nothing any more."""

from typing import Final

from e2e.suite.crowd import shopping
from e2e.suite.hand import frozen
from e2e.suite.namespace import REPLICAS, Namespace
from tests.operator.watching import eventually

FROZEN_SECONDS: Final = 20
"""Less than the 40 s after which the node itself would be given up."""


async def test_a_pod_that_was_given_up_does_no_harm_when_it_goes_on(shop: Namespace) -> None:
    async with shopping(shop, may_meet_errors=True):
        victim, *_ = await shop.pods()
        name = victim["metadata"]["name"]

        async def is_replaced() -> bool:
            names = await shop.pod_names()
            return len(names) == REPLICAS and name not in names

        async with frozen(shop, victim, FROZEN_SECONDS):
            await shop.kubectl("delete", "pod", name, "--force", "--grace-period=0")
            await eventually(is_replaced, lambda: f"{name} is not replaced")
        await shop.rolled_out()
        assert len(await shop.workers()) == REPLICAS
