"""A pod killed with `--force --grace-period=0`: who it was serving tries again, nothing is lost."""

import asyncio

from e2e.conftest import SHOP
from e2e.suite.crowd import errors_of
from e2e.suite.stage import Stage


async def test_nothing_is_lost_with_a_killed_pod(shop: Stage) -> None:
    async with shop.crowd(SHOP) as crowd:
        victim, *_ = await shop.pods(SHOP)
        name = victim["metadata"]["name"]
        await shop.kubectl(
            *("--namespace", SHOP, "delete", "pod", name, "--force", "--grace-period=0")
        )
        await shop.rolled_out(SHOP, "shop")
        assert len(await shop.workers(SHOP)) == 3
        before = len((await crowd.printed()).splitlines())
        await asyncio.sleep(5)
        # Errors come with the death of the pod, and end with it.
        assert len((await crowd.printed()).splitlines()) == before
    # What was on its way to the pod or in it; nobody meets that twice.
    assert len(errors_of(shop.story.row.seen)) <= shop.story.row.seen[0].users
