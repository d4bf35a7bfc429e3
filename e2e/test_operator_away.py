"""The operator away: what runs goes on, a rollout waits safely, and finishes after its return."""

import asyncio
from typing import Final

from e2e.conftest import SHOP
from e2e.suite.crowd import errors_of
from e2e.suite.hand import kill_container
from e2e.suite.stage import OPERATOR, RELEASE, Stage
from e2e.suite.story import Stopwatch
from tests.operator.watching import eventually

STALLED_SECONDS: Final = 10
FINISHED_SECONDS: Final = 300
"""The controller of ReplicaSets doubles its pauses: the longer away, the later the next attempt."""


async def test_what_runs_goes_on_without_the_operator(shop: Stage) -> None:
    await shop.scale(OPERATOR, RELEASE, 0)
    try:
        await shop.kubectl(
            *("--namespace", OPERATOR, "wait", "pod", "--for=delete", "--timeout=90s"),
            "--selector=app.kubernetes.io/name=moorline",
        )
        victim, *others = await shop.pods(SHOP)
        await kill_container(shop, victim, "shop")
        await _until_ready(shop, len(others) + 1)
        shop.story.note("a container that was killed came back")
        await _purge(shop)
        async with shop.crowd(SHOP):
            before = {pod["metadata"]["name"] for pod in await shop.pods(SHOP)}
            await shop.kubectl("--namespace", SHOP, "rollout", "restart", "deployment/shop")
            await asyncio.sleep(STALLED_SECONDS)
            assert before == {pod["metadata"]["name"] for pod in await shop.pods(SHOP)}
            shop.story.note("a rollout left every pod where it was")
            await shop.scale(OPERATOR, RELEASE, 2)
            await shop.rolled_out(OPERATOR, RELEASE)
            watch = Stopwatch()
            await shop.rolled_out(SHOP, "shop", seconds=FINISHED_SECONDS)
            shop.story.note(f"the rollout finished {watch.seconds:.0f} s after the return")
    finally:
        await shop.scale(OPERATOR, RELEASE, 2)
    assert not before & {pod["metadata"]["name"] for pod in await shop.pods(SHOP)}
    assert errors_of(shop.story.row.seen) == []


async def _until_ready(shop: Stage, count: int) -> None:
    async def are_ready() -> bool:
        pods = await shop.pods(SHOP)
        ready = [all(one["ready"] for one in pod["status"]["containerStatuses"]) for pod in pods]
        return ready == [True] * count

    await eventually(are_ready, lambda: "the killed container does not come back", 120)


async def _purge(shop: Stage) -> None:
    """As the CronJob's controller makes them, which needs no operator either."""
    where = ("--namespace", SHOP)
    await shop.kubectl(*where, "create", "job", "by-hand", "--from=cronjob/shop-moorline-purge")
    try:
        await shop.kubectl(
            *where, "wait", "job/by-hand", "--for=condition=Complete", "--timeout=90s"
        )
    finally:
        await shop.kubectl(*where, "delete", "job", "by-hand")
    shop.story.note("a purge completed")
