"""The operator away: what runs goes on, a rollout waits safely, and finishes after its return."""

from typing import Final

from e2e.suite.crowd import shopping
from e2e.suite.hand import kill_container
from e2e.suite.namespace import Namespace
from e2e.suite.stage import RELEASE, REPLICAS, Stage
from e2e.suite.story import Stopwatch
from tests.operator.watching import eventually

FINISHED_SECONDS: Final = 300
"""The controller of ReplicaSets doubles its pauses: the longer away, the later the next attempt."""


async def test_what_runs_goes_on_without_the_operator(shop: Namespace, moorline: Stage) -> None:
    before = await shop.pod_names()
    await moorline.operator.scale(0, RELEASE)
    try:
        await moorline.until_operator_is_gone()
        await _lose_containers(shop)
        await _purge(shop)
        async with shopping(shop):
            await _begin_a_rollout(shop)
            assert await shop.pod_names() == before
            shop.story.note("a rollout left every pod where it was")
            await moorline.operator.scale(REPLICAS, RELEASE)
            await moorline.operator.rolled_out(RELEASE)
            watch = Stopwatch()
            await shop.rolled_out(seconds=FINISHED_SECONDS)
            shop.story.note(f"the rollout finished {watch.seconds:.0f} s after the return")
    finally:
        await moorline.operator.scale(REPLICAS, RELEASE)
    assert not before & await shop.pod_names()


async def _lose_containers(shop: Namespace) -> None:
    victim, *_ = await shop.pods()
    for container in ("shop", "moorline"):
        await kill_container(shop, victim, container)
    await shop.rolled_out()
    shop.story.note("an application and a sidecar that were killed came back")


async def _purge(shop: Namespace) -> None:
    """As the CronJob's controller makes them, which needs no operator either."""
    await shop.kubectl("create", "job", "by-hand", "--from=cronjob/shop-moorline-purge")
    try:
        await shop.kubectl("wait", "job/by-hand", "--for=condition=Complete", "--timeout=150s")
    finally:
        await shop.kubectl("delete", "job", "by-hand")
    shop.story.note("a purge completed")


async def _begin_a_rollout(shop: Namespace) -> None:
    """And see its first pod refused: it would have no sidecar."""
    refusals = await shop.refusals()
    await shop.restart()

    async def is_refused() -> bool:
        return bool(await shop.refusals() - refusals)

    await eventually(is_refused, lambda: "no pod is refused")
