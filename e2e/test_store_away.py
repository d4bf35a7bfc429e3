"""The store restarted, and away for 30 s: carts are shown, changes wait, nothing is lost."""

import asyncio
from typing import Final

from e2e.conftest import SHOP
from e2e.suite.stage import Stage
from e2e.suite.story import Stopwatch
from tests.operator.watching import eventually

AWAY_SECONDS: Final = 30
CALM_SECONDS: Final = 5


async def test_nothing_is_lost_with_a_store_that_restarts_and_goes_away(shop: Stage) -> None:
    async with shop.crowd(SHOP) as crowd:

        async def is_calm() -> bool:
            """Nobody meets an error any more."""
            told = await crowd.printed()
            await asyncio.sleep(CALM_SECONDS)
            return await crowd.printed() == told

        await shop.kubectl("--namespace", SHOP, "delete", "pod", "--selector=app=store")
        await shop.rolled_out(SHOP, "store")
        watch = Stopwatch()
        await eventually(is_calm, lambda: "errors do not end after the restart")
        shop.story.note(
            f"no errors from {max(0.0, watch.seconds - CALM_SECONDS):.0f} s after the restart on"
        )

        await shop.scale(SHOP, "store", 0)
        await asyncio.sleep(AWAY_SECONDS)
        await shop.scale(SHOP, "store", 1)
        await shop.rolled_out(SHOP, "store")
        watch = Stopwatch()
        await eventually(is_calm, lambda: "errors do not end after the return")
        shop.story.note(
            f"no errors from {max(0.0, watch.seconds - CALM_SECONDS):.0f} s after its return on"
        )
    pods = await shop.pods(SHOP)
    restarts = [one["restartCount"] for pod in pods for one in pod["status"]["containerStatuses"]]
    assert not any(restarts), "a pod of the shop was restarted"
