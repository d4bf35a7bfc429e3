"""The chart upgraded from the version before: no pod is restarted; the status says what to do."""

import re
import shutil
from pathlib import Path
from typing import Final

from e2e.conftest import SHOP
from e2e.suite.commands import ROOT
from e2e.suite.crowd import errors_of
from e2e.suite.stage import OPERATOR, RELEASE, Stage
from e2e.suite.story import Stopwatch
from tests.operator.watching import until_reason

BEFORE: Final = "0.0.9"
"""The images of this version are the present ones by another name: there is no earlier release."""


async def test_no_pod_is_restarted_by_an_upgrade(stage: Stage, tmp_path: Path) -> None:
    older = _chart_of_before(tmp_path)
    where = ("--namespace", OPERATOR, "--create-namespace")
    await stage.restrict(OPERATOR)
    await stage.commands.helm(
        "upgrade", "--install", RELEASE, str(older), *where, *stage.chart_values()
    )
    await stage.rolled_out(OPERATOR, RELEASE)
    await stage.open_shop(SHOP)
    await stage.kubectl("--namespace", SHOP, "rollout", "restart", "deployment/shop")
    await stage.rolled_out(SHOP, "shop")
    await until_reason(stage.kube, SHOP, "shop", "SidecarsUpToDate", "UpToDate")
    before = {pod["metadata"]["uid"] for pod in await stage.pods(SHOP)}

    async with stage.crowd(SHOP):
        watch = Stopwatch()
        await stage.commands.helm(
            "upgrade", RELEASE, "charts/moorline", *where, *stage.chart_values()
        )
        await stage.rolled_out(OPERATOR, RELEASE)
        told = await until_reason(stage.kube, SHOP, "shop", "SidecarsUpToDate", "RestartRequired")
        assert before == {pod["metadata"]["uid"] for pod in await stage.pods(SHOP)}
        stage.story.note(f"upgraded in {watch.seconds:.0f} s; told: {told['message']}")
        # The command as the message has it.
        _, _, command = told["message"].partition("; ")
        await stage.commands.bash(command)
        await stage.rolled_out(SHOP, "shop")
        await until_reason(stage.kube, SHOP, "shop", "SidecarsUpToDate", "UpToDate")
    assert errors_of(stage.story.row.seen) == []


def _chart_of_before(folder: Path) -> Path:
    chart = folder / "moorline"
    shutil.copytree(ROOT / "charts" / "moorline", chart)
    about = chart / "Chart.yaml"
    text = re.sub(r"(?m)^(version|appVersion):.*$", rf'\1: "{BEFORE}"', about.read_text())
    about.write_text(text)
    return chart
