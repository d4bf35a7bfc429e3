"""A sidecar container killed: the pod stays, the sidecar comes back under its name."""

from e2e.conftest import SHOP
from e2e.suite.hand import kill_container
from e2e.suite.stage import Stage
from e2e.suite.story import Stopwatch
from tests.operator.watching import eventually


async def test_a_killed_sidecar_comes_back_and_nothing_is_lost(shop: Stage) -> None:
    workers = await shop.workers(SHOP)
    victim, *_ = await shop.pods(SHOP)
    name = victim["metadata"]["name"]
    async with shop.crowd(SHOP):
        watch = Stopwatch()
        await kill_container(shop, victim, "moorline")

        async def is_back() -> bool:
            pods = {pod["metadata"]["name"]: pod for pod in await shop.pods(SHOP)}
            (sidecar,) = (
                status
                for status in pods[name]["status"]["initContainerStatuses"]
                if status["name"] == "moorline"
            )
            return sidecar["restartCount"] > _restarts(victim) and bool(sidecar["ready"])

        await eventually(is_back, lambda: f"the sidecar of {name} does not come back", 120)
        shop.story.note(f"ready again {watch.seconds:.0f} s after the kill")
    assert await shop.workers(SHOP) == workers


def _restarts(pod: dict[str, object]) -> int:
    status = pod["status"]
    assert isinstance(status, dict)
    return sum(
        one["restartCount"] for one in status["initContainerStatuses"] if one["name"] == "moorline"
    )
