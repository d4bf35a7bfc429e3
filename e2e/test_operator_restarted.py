"""Both replicas of the operator restarted during a scale-up: every pod gets a name of its own."""

from typing import Final

from e2e.suite.crowd import shopping
from e2e.suite.namespace import Namespace
from e2e.suite.stage import RELEASE, Stage
from e2e.suite.story import Stopwatch

SIZE: Final = 7


async def test_a_scale_up_survives_both_replicas(shop: Namespace, moorline: Stage) -> None:
    async with shopping(shop):
        watch = Stopwatch()
        await shop.scale(SIZE)
        await moorline.kill_operator()
        await shop.rolled_out()
        assert len(await shop.workers()) == SIZE
        shop.story.note(f"{SIZE} pods with names after {watch.seconds:.0f} s")
        await moorline.operator.rolled_out(RELEASE)
