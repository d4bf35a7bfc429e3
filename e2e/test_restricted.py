"""Everything runs in namespaces that enforce the profile `restricted` of Pod Security."""

import secrets
from typing import Final

from moorline_operator.kube.api import KubeObject
from moorline_operator.kube.kinds import PODS

from e2e.suite.namespace import RESTRICTED, TOLD_SECONDS, Namespace
from e2e.suite.stage import Stage
from tests.operator.watching import eventually, everything

TASK: Final = "moorline.io/task"
OTHER_VERSION: Final = f"{RESTRICTED.partition('=')[0]}-version=v1.32"
"""Of the same profile: the API server then looks at the pods that are there."""


async def test_every_pod_complies_with_restricted(shop: Namespace, moorline: Stage) -> None:
    before = {pod["metadata"]["uid"] for pod in await _tasks(shop)}
    for task in ("purge", "check"):
        now = f"moorline.io/{task}-now={secrets.token_hex(4)}"
        await shop.kubectl("annotate", "scl", "shop", now, "--overwrite")

    async def have_tasks_run() -> bool:
        ended = [pod for pod in await _tasks(shop) if pod["status"].get("phase") == "Succeeded"]
        new = [pod["metadata"] for pod in ended if pod["metadata"]["uid"] not in before]
        return {metadata["labels"][TASK] for metadata in new} == {"purge", "check"}

    await eventually(have_tasks_run, lambda: "no purge and no check has run", TOLD_SECONDS)
    for namespace in (shop, moorline.operator):
        await namespace.restrict()
        label = f"kubectl label namespace {namespace.name} {OTHER_VERSION} --overwrite"
        assert "Warning" not in await moorline.commands.bash(f"{label} --dry-run=server 2>&1")
        pods = await everything(moorline.access.kube, PODS, namespace.name)
        shop.story.note(f"{len(pods)} pods in {namespace.name}")


async def _tasks(shop: Namespace) -> list[KubeObject]:
    return await everything(shop.access.kube, PODS, shop.name, TASK)
