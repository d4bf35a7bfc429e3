"""A pod killed with `--force --grace-period=0`: who it was serving tries again, nothing is lost."""

from e2e.suite.crowd import shopping
from e2e.suite.namespace import REPLICAS, Namespace


async def test_nothing_is_lost_with_a_killed_pod(shop: Namespace) -> None:
    async with shopping(shop, may_meet_errors=True) as crowd:
        victim, *_ = await shop.pods()
        name = victim["metadata"]["name"]
        await shop.kubectl("delete", "pod", name, "--force", "--grace-period=0")
        # Errors come with the death of the pod, and end with it.
        calm = await crowd.until_calm()
        shop.story.note(f"no errors from {calm:.0f} s after the kill on")
        await shop.rolled_out()
        assert len(await shop.workers()) == REPLICAS
