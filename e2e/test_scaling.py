"""Scale 3 → 6 → 2 under load: nobody notices."""

from typing import Final

from e2e.suite.crowd import shopping
from e2e.suite.namespace import Namespace
from e2e.suite.story import Stopwatch

SIZES: Final = (6, 2)


async def test_nobody_notices_more_pods_and_fewer(shop: Namespace) -> None:
    async with shopping(shop):
        for size in SIZES:
            watch = Stopwatch()
            await shop.scale(size)
            await shop.rolled_out()
            assert len(await shop.workers()) == size
            shop.story.note(f"{size} pods after {watch.seconds:.0f} s")
