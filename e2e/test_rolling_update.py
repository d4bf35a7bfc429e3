"""A rolling update under load: nobody notices."""

from e2e.suite.crowd import shopping
from e2e.suite.namespace import Namespace
from e2e.suite.story import Stopwatch


async def test_nobody_notices_a_rolling_update(shop: Namespace) -> None:
    before = await shop.pod_names()
    async with shopping(shop):
        watch = Stopwatch()
        await shop.restart()
        await shop.rolled_out()
        shop.story.note(f"all {len(before)} pods replaced in {watch.seconds:.0f} s")
    assert not before & await shop.pod_names()
    assert len(await shop.workers()) == len(before)
