"""Everything runs in namespaces that enforce the profile `restricted` of Pod Security."""

import secrets

from moorline_operator.kube.kinds import PODS

from e2e.conftest import SHOP
from e2e.suite.stage import OPERATOR, RESTRICTED, Stage
from tests.operator.watching import eventually, everything


async def test_every_pod_complies_with_restricted(shop: Stage) -> None:
    for task in ("purge-now", "check-now"):
        value = f"moorline.io/{task}={secrets.token_hex(4)}"
        await shop.kubectl("--namespace", SHOP, "annotate", "scl", "shop", value, "--overwrite")

    async def have_tasks_run() -> bool:
        pods = await everything(shop.kube, PODS, SHOP, "moorline.io/task")
        tasks = {pod["metadata"]["labels"]["moorline.io/task"] for pod in pods}
        return tasks == {"purge", "check"}

    await eventually(have_tasks_run, lambda: "no pods of a purge and a check")
    for namespace in (SHOP, OPERATOR):
        namespaced = ("label", "namespace", namespace, "--overwrite")
        await shop.kubectl(*namespaced, RESTRICTED)
        # Another version of the same profile has the API server look at the pods that are there.
        look = (*namespaced, "--dry-run=server", f"{RESTRICTED.split('=')[0]}-version=v1.32")
        answer = await shop.commands.bash(f"kubectl {' '.join(look)} 2>&1")
        assert "Warning" not in answer
        pods = await everything(shop.kube, PODS, namespace)
        shop.story.note(f"{len(pods)} pods in {namespace}")
