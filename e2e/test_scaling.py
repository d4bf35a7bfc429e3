"""Scale 3 → 6 → 2 under load: nobody notices."""

from typing import Final

from e2e.conftest import SHOP
from e2e.suite.crowd import errors_of
from e2e.suite.stage import Stage
from e2e.suite.story import Stopwatch

SIZES: Final = (6, 2)


async def test_nobody_notices_more_pods_and_fewer(shop: Stage) -> None:
    async with shop.crowd(SHOP):
        for size in SIZES:
            watch = Stopwatch()
            await shop.scale(SHOP, "shop", size)
            await shop.rolled_out(SHOP, "shop")
            assert len(await shop.workers(SHOP)) == size
            shop.story.note(f"{size} pods after {watch.seconds:.0f} s")
    assert errors_of(shop.story.row.seen) == []
