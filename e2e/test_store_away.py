"""The store restarted, and away for 30 s: changes wait, nobody is logged out, nothing is lost."""

import asyncio
from typing import Final

from e2e.suite.crowd import shopping
from e2e.suite.namespace import STORE, Namespace

AWAY_SECONDS: Final = 30


async def test_nothing_is_lost_with_a_store_that_restarts_and_goes_away(shop: Namespace) -> None:
    before = await shop.restarts()
    async with shopping(shop, may_meet_errors=True) as crowd:
        await shop.kubectl("delete", "pod", f"--selector=app={STORE}")
        await shop.rolled_out(STORE)
        calm = await crowd.until_calm()
        shop.story.note(f"no errors from {calm:.0f} s after the restart on")

        await shop.scale(0, STORE)
        await asyncio.sleep(AWAY_SECONDS)
        await shop.scale(1, STORE)
        await shop.rolled_out(STORE)
        calm = await crowd.until_calm()
        shop.story.note(f"no errors from {calm:.0f} s after its return on")
    assert await shop.restarts() == before
