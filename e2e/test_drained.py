"""The node drained of the shop's pods: one at a time, as its PodDisruptionBudget has it."""

import asyncio
from typing import Any, Final

from e2e.conftest import SHOP
from e2e.suite.crowd import errors_of
from e2e.suite.stage import Stage
from e2e.suite.story import Stopwatch
from tests.operator.watching import eventually

BUDGET: Final[dict[str, Any]] = {
    "apiVersion": "policy/v1",
    "kind": "PodDisruptionBudget",
    "metadata": {"name": "shop"},
    "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "shop"}}},
}


async def test_nobody_notices_a_drain(shop: Stage) -> None:
    before = {pod["metadata"]["name"] for pod in await shop.pods(SHOP)}
    (node,) = {pod["spec"]["nodeName"] for pod in await shop.pods(SHOP)}
    await shop.commands.apply(SHOP, BUDGET)
    try:
        async with shop.crowd(SHOP):
            watch = Stopwatch()
            drain = asyncio.create_task(
                shop.kubectl(
                    *("drain", node, "--pod-selector=app=shop", "--timeout=150s"),
                    *("--delete-emptydir-data", "--ignore-daemonsets"),
                )
            )

            async def is_one_evicted() -> bool:
                return len(before & {pod["metadata"]["name"] for pod in await shop.pods(SHOP)}) < 3

            await eventually(is_one_evicted, lambda: "no pod is evicted")
            # No other node takes its successor: the others may only go once this one is back.
            await shop.kubectl("uncordon", node)
            await drain
            await shop.rolled_out(SHOP, "shop")
            shop.story.note(f"all {len(before)} pods evicted and replaced in {watch.seconds:.0f} s")
    finally:
        await shop.kubectl("uncordon", node)
        await shop.kubectl("--namespace", SHOP, "delete", "poddisruptionbudget", "shop")
    assert not before & {pod["metadata"]["name"] for pod in await shop.pods(SHOP)}
    assert errors_of(shop.story.row.seen) == []
