"""A node drained of the shop's pods: one at a time, as their PodDisruptionBudget has it."""

import asyncio
from typing import Any, Final

from e2e.suite.crowd import shopping
from e2e.suite.namespace import SHOP, Namespace
from e2e.suite.stage import Stage
from e2e.suite.story import Stopwatch
from tests.operator.watching import eventually

BUDGET: Final[dict[str, Any]] = {
    "apiVersion": "policy/v1",
    "kind": "PodDisruptionBudget",
    "metadata": {"name": SHOP},
    "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": SHOP}}},
}
DRAINED_SECONDS: Final = 300


async def test_nobody_notices_a_drain(shop: Namespace, moorline: Stage) -> None:
    pods = await shop.pods()
    node = pods[0]["spec"]["nodeName"]
    evicted = {pod["metadata"]["name"] for pod in pods if pod["spec"]["nodeName"] == node}

    async def is_one_gone() -> bool:
        return not evicted <= await shop.pod_names()

    await shop.apply(BUDGET)
    try:
        async with shopping(shop):
            watch = Stopwatch()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_drain(moorline, node))
                await eventually(is_one_gone, lambda: "no pod is evicted")
                # Where no other node takes its successor, the others go once this one is back.
                await moorline.commands.kubectl("uncordon", node)
            await shop.rolled_out()
            shop.story.note(
                f"all {len(evicted)} pods evicted and replaced in {watch.seconds:.0f} s"
            )
    finally:
        await moorline.commands.kubectl("uncordon", node)
        await shop.kubectl("delete", "poddisruptionbudget", SHOP)
    assert not evicted & await shop.pod_names()


async def _drain(moorline: Stage, node: str) -> None:
    await moorline.commands.kubectl(
        *("drain", node, f"--pod-selector=app={SHOP}", f"--timeout={DRAINED_SECONDS}s"),
        *("--delete-emptydir-data", "--ignore-daemonsets"),
        seconds=DRAINED_SECONDS + 30,
    )
