"""The first installation, by the commands of README.md and docs/install.md, on a bare cluster."""

import re
import shlex
from typing import Any, Final

from e2e.suite.commands import ROOT
from e2e.suite.crowd import errors_of
from e2e.suite.stage import OPERATOR, RELEASE, Stage
from e2e.suite.story import Stopwatch

NAMESPACE: Final = "web"
CRD: Final = "sessionclusters.moorline.io"
# What a person looks at, and what docs/e2e.md shows.
LOOKS: Final = {
    "get-scl.txt": "kubectl -n web get scl",
    "describe-scl.txt": "kubectl -n web describe scl shop",
    "get-events.txt": "kubectl -n web get events --sort-by=.metadata.creationTimestamp",
    "get-pods.txt": "kubectl -n web get pods --label-columns moorline.io/worker",
    "explain.txt": "kubectl explain sessioncluster.spec.cache.staleness",
}


async def test_the_readme_installs_it(stage: Stage) -> None:
    await _make_bare(stage)
    async with stage.namespace(NAMESPACE):
        await _open_for_business(stage)
        watch = Stopwatch()
        for line in _commands("README.md", "## On Kubernetes"):
            await stage.commands.bash(_with_values(line, stage))
        await stage.rolled_out(NAMESPACE, "web")
        await stage.kubectl(
            *("--namespace", NAMESPACE, "wait", "scl/shop", "--for=condition=Ready"),
            "--timeout=120s",
        )
        stage.story.note(f"ready {watch.seconds:.0f} s after the first command")
        await stage.restrict(OPERATOR)
        for line in _commands("docs/install.md", "## Install")[1:]:
            await stage.commands.bash(line)
        async with stage.crowd(NAMESPACE, service="web", users=10):
            for name, look in LOOKS.items():
                stage.story.keep(name, f"$ {look}\n{await stage.commands.bash(look)}")
    assert errors_of(stage.story.row.seen) == []


async def _make_bare(stage: Stage) -> None:
    if await stage.is_installed():
        await stage.commands.helm("uninstall", RELEASE, "--namespace", OPERATOR, "--wait")
    await stage.kubectl("delete", "crd", CRD, "--ignore-not-found")
    await stage.kubectl("delete", "namespace", OPERATOR, "--ignore-not-found")


async def _open_for_business(stage: Stage) -> None:
    """A Deployment `web` and its store, as an application was before Moorline."""
    await stage.open_store(NAMESPACE)
    secret, _ = stage.manifest("sessioncluster")
    service, deployment = stage.manifest("shop")
    for obj in (service, deployment):
        obj["metadata"]["name"] = "web"
    labels: dict[str, Any] = deployment["spec"]["template"]["metadata"]["labels"]
    del labels["moorline.io/cluster"]
    await stage.commands.apply(NAMESPACE, secret, service, deployment)
    await stage.rolled_out(NAMESPACE, "web")


def _commands(page: str, heading: str) -> list[str]:
    """The lines of the first block of commands below a heading."""
    text = (ROOT / page).read_text().partition(f"\n{heading}\n")[2]
    block = re.search(r"```sh\n(.*?)```", text, re.DOTALL)
    assert block is not None, f"{page} has no commands below {heading}"
    return block[1].splitlines()


def _with_values(line: str, stage: Stage) -> str:
    values = stage.chart_values() if line.startswith("helm install") else []
    return " ".join((line, *map(shlex.quote, values)))
