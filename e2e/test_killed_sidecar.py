"""A sidecar container killed: the pod stays, the sidecar comes back under its name."""

from e2e.suite.crowd import shopping
from e2e.suite.hand import kill_container
from e2e.suite.namespace import Namespace
from e2e.suite.story import Stopwatch


async def test_a_killed_sidecar_comes_back_and_nothing_is_lost(shop: Namespace) -> None:
    workers = await shop.workers()
    victim, *_ = await shop.pods()
    async with shopping(shop, may_meet_errors=True) as crowd:
        watch = Stopwatch()
        await kill_container(shop, victim, "moorline")
        shop.story.note(f"ready again within {watch.seconds:.0f} s of the kill")
        await crowd.until_calm()
    assert await shop.workers() == workers
