"""A rolling update under load: nobody notices."""

from e2e.conftest import SHOP
from e2e.suite.crowd import errors_of
from e2e.suite.stage import Stage
from e2e.suite.story import Stopwatch


async def test_nobody_notices_a_rolling_update(shop: Stage) -> None:
    before = {pod["metadata"]["name"] for pod in await shop.pods(SHOP)}
    async with shop.crowd(SHOP):
        watch = Stopwatch()
        await shop.kubectl("--namespace", SHOP, "rollout", "restart", "deployment/shop")
        await shop.rolled_out(SHOP, "shop")
        shop.story.note(f"all {len(before)} pods replaced in {watch.seconds:.0f} s")
    after = {pod["metadata"]["name"] for pod in await shop.pods(SHOP)}
    assert not before & after
    assert len(await shop.workers(SHOP)) == len(before)
    assert errors_of(shop.story.row.seen) == []
