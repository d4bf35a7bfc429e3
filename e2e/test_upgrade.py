"""The chart upgraded from the version before: no pod is restarted; the status says what to do."""

import re
import shutil
from pathlib import Path
from typing import Final

from e2e.suite.commands import ROOT
from e2e.suite.crowd import shopping
from e2e.suite.namespace import SHOP, Namespace
from e2e.suite.stage import CHART, RELEASE, Stage
from e2e.suite.story import Stopwatch

BEFORE: Final = "0.0.9"
"""The images of this version are the present ones by another name: there is no earlier release."""


async def test_no_pod_is_restarted_by_an_upgrade(stage: Stage, tmp_path: Path) -> None:
    shop = Namespace(stage.access, SHOP)
    await stage.operator.restrict()
    await stage.upgrade(str(_chart_of_before(tmp_path)))
    await stage.operator.rolled_out(RELEASE)
    await shop.open_shop()
    await shop.restart()
    await shop.rolled_out()
    await shop.until_told("SidecarsUpToDate", "UpToDate")
    before = await shop.restarts()

    async with shopping(shop):
        watch = Stopwatch()
        await stage.upgrade(CHART)
        await stage.operator.rolled_out(RELEASE)
        told = await shop.until_told("SidecarsUpToDate", "RestartRequired")
        assert await shop.restarts() == before
        stage.story.note(f"upgraded in {watch.seconds:.0f} s; told: {told}")
        # The command as the message has it.
        _, _, command = told.partition("; ")
        await stage.commands.bash(command)
        await shop.rolled_out()
        await shop.until_told("SidecarsUpToDate", "UpToDate")


def _chart_of_before(folder: Path) -> Path:
    chart = folder / "moorline"
    shutil.copytree(ROOT / CHART, chart)
    about = chart / "Chart.yaml"
    text = re.sub(r"(?m)^(version|appVersion):.*$", rf'\1: "{BEFORE}"', about.read_text())
    about.write_text(text)
    return chart
