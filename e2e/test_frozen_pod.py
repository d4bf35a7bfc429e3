"""A pod frozen with its node's kubelet, force-deleted, then thawed: it changes nothing any more."""

from typing import Final

from e2e.conftest import SHOP
from e2e.suite.hand import frozen
from e2e.suite.stage import Stage
from tests.operator.watching import eventually

FROZEN_SECONDS: Final = 15


async def test_a_pod_that_was_given_up_does_no_harm_when_it_goes_on(shop: Stage) -> None:
    async with shop.crowd(SHOP):
        victim, *_ = await shop.pods(SHOP)
        name, uid = victim["metadata"]["name"], victim["metadata"]["uid"]
        async with frozen(shop, victim, FROZEN_SECONDS):
            await shop.kubectl(
                *("--namespace", SHOP, "delete", "pod", name, "--force", "--grace-period=0")
            )

            async def is_replaced() -> bool:
                pods = [pod["metadata"]["uid"] for pod in await shop.pods(SHOP)]
                return len(pods) == 3 and uid not in pods

            await eventually(is_replaced, lambda: f"{name} is not replaced")
        await shop.rolled_out(SHOP, "shop")
        assert len(await shop.workers(SHOP)) == 3
