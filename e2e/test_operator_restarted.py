"""Both replicas of the operator restarted during a scale-up: every pod gets a name of its own."""

from e2e.conftest import SHOP
from e2e.suite.crowd import errors_of
from e2e.suite.stage import OPERATOR, RELEASE, Stage
from e2e.suite.story import Stopwatch

SIZE = 7


async def test_a_scale_up_survives_both_replicas(shop: Stage) -> None:
    try:
        async with shop.crowd(SHOP):
            watch = Stopwatch()
            await shop.scale(SHOP, "shop", SIZE)
            await shop.kubectl(
                *("--namespace", OPERATOR, "delete", "pod", "--wait=false"),
                "--selector=app.kubernetes.io/name=moorline",
            )
            await shop.rolled_out(SHOP, "shop", seconds=300)
            assert len(await shop.workers(SHOP)) == SIZE
            shop.story.note(f"{SIZE} pods with names after {watch.seconds:.0f} s")
            await shop.rolled_out(OPERATOR, RELEASE)
    finally:
        await shop.scale(SHOP, "shop", 3)
    assert errors_of(shop.story.row.seen) == []
