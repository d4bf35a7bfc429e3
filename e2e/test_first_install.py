"""The first installation, by the commands of README.md and docs/install.md, on a bare cluster."""

import shlex
from typing import Any, Final

from e2e.suite.commands import ROOT
from e2e.suite.crowd import shopping
from e2e.suite.namespace import Namespace
from e2e.suite.pages import commands_below
from e2e.suite.report import LOOK
from e2e.suite.stage import CRD, Stage
from e2e.suite.story import Stopwatch

NAMESPACE: Final = "web"
LOOKS: Final = (
    "kubectl -n web get scl",
    "kubectl -n web get pods --label-columns moorline.io/worker",
    "kubectl -n web describe scl shop",
    "kubectl -n web get events --sort-by=.metadata.creationTimestamp",
    "kubectl explain sessioncluster.spec.cache.staleness",
)
"""What a person looks at, and what docs/e2e.md shows."""


async def test_the_readme_installs_it(stage: Stage) -> None:
    readme = commands_below("## On Kubernetes", (ROOT / "README.md").read_text())
    install, *checks = commands_below("## Install", (ROOT / "docs" / "install.md").read_text())
    assert install == readme[0]
    await _make_bare(stage)
    async with stage.namespace(NAMESPACE) as web:
        await _open_for_business(web)
        watch = Stopwatch()
        for line in readme:
            await stage.commands.bash(_with_values(line, stage))
        await web.rolled_out("web")
        await web.until_ready()
        stage.story.note(f"ready {watch.seconds:.0f} s after the first command")
        await stage.operator.restrict()
        for line in checks:
            await stage.commands.bash(line)
        async with shopping(web, service="web", users=10):
            for number, look in enumerate(LOOKS):
                printed = await stage.commands.bash(look)
                stage.story.keep(f"{LOOK}{number}.txt", f"$ {look}\n{printed}")


async def _make_bare(stage: Stage) -> None:
    await stage.uninstall()
    await stage.commands.kubectl("delete", "crd", CRD, "--ignore-not-found")
    await stage.operator.delete()


async def _open_for_business(web: Namespace) -> None:
    """A Deployment `web` and its store, as an application was before Moorline."""
    await web.open_store()
    secret, _ = web.manifest("sessioncluster")
    service, deployment = web.manifest("shop")
    for obj in (service, deployment):
        obj["metadata"]["name"] = "web"
    labels: dict[str, Any] = deployment["spec"]["template"]["metadata"]["labels"]
    del labels["moorline.io/cluster"]
    await web.apply(secret, service, deployment)
    await web.rolled_out("web")


def _with_values(line: str, stage: Stage) -> str:
    values = stage.chart_values() if line.startswith("helm install") else []
    return " ".join((line, *map(shlex.quote, values)))
