"""The report of a run: a row a scenario, as JSON and as the table of docs/e2e.md.

    python -m e2e.suite.report

writes docs/e2e.md from the last run: its table, and what a person looked at meanwhile.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from e2e.suite.commands import ROOT, Commands
from e2e.suite.stage import chart_version
from e2e.suite.story import Row
from e2e.suite.target import Target, Way

RESULTS: Final = ROOT / "e2e-results"
LOOK: Final = "look-"
"""What the names of files begin with that show a command and what it printed."""

_REPORT: Final = "report.json"
_WAYS: Final[dict[Way, str]] = {
    "own": "the single-node cluster of `e2e/cluster`",
    "kind": "kind",
    "given": "a cluster that was given",
}
_HEAD: Final = (
    "| scenario | s | users | requests | errors | slowest, ms | logouts | seen |",
    "|---|--:|--:|--:|--:|--:|--:|---|",
)
_BAR: Final = r"\|"
"""How a cell writes what ends it."""


class Run(Struct, frozen=True):
    """One run of the suite, and what it ran on."""

    date: str
    way: Way
    versions: dict[str, str]
    rows: list[Row]


def write_report(results: Path, target: Target) -> None:
    """Gather the rows that scenarios have left in their folders, in the order of their ends."""
    files = sorted(results.glob("*/row.json"), key=lambda file: file.stat().st_mtime)
    rows = [msgspec.json.decode(file.read_bytes(), type=Row) for file in files]
    versions = _versions(Commands(target.kubeconfig))
    run = Run(time.strftime("%Y-%m-%d"), target.way, versions, rows)
    (results / _REPORT).write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1))


def table(run: Run) -> str:
    """The report for people, in Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    minutes = sum(row.seconds for row in run.rows) / 60
    about = f"{run.date}, {_WAYS[run.way]}; {versions}."
    size = f"{len(run.rows)} scenarios in {minutes:.0f} minutes."
    return "\n".join((f"{about} {size}", "", *_HEAD, *map(_line, run.rows)))


def filled(page: str, name: str, content: str) -> str:
    """The page with `content` between the comments `<!-- NAME -->` and `<!-- end -->`.

    Raises:
        ValueError: it does not have them.
    """
    begin, end = f"<!-- {name} -->", "<!-- end -->"
    pattern = rf"(?s){re.escape(begin)}\n.*?{re.escape(end)}"
    page, count = re.subn(pattern, lambda _: f"{begin}\n\n{content}\n\n{end}", page, count=1)
    if count == 0:
        raise ValueError(f"the page has no {begin} with {end}")
    return page


def _line(row: Row) -> str:
    title = row.title if row.passed else f"**failed:** {row.title}"
    counts: Sequence[str] = ("", "", "", "", "")
    facts = list(row.facts)
    if row.seen:
        counts = (
            str(max(report.users for report in row.seen)),
            f"{sum(report.requests for report in row.seen):,}",
            str(sum(len(report.failures) for report in row.seen)),
            f"{max(report.slowest_ms for report in row.seen):.0f}",
            str(sum(report.logouts for report in row.seen)),
        )
        # Whoever is not there answers in nobody's name.
        pods = {pod for report in row.seen for pod in report.served} - {"nobody"}
        workers = sorted({worker for report in row.seen for worker in report.workers})
        facts.append(f"{len(pods)} pods as {', '.join(workers)}")
    cells = (title, f"{row.seconds:.0f}", *counts, "; ".join(facts))
    return f"| {' | '.join(cell.replace('|', _BAR) for cell in cells)} |"


def _looks(results: Path) -> str:
    looks = sorted(results.glob(f"*/{LOOK}*.txt"))
    return "\n\n".join(f"```console\n{look.read_text().strip()}\n```" for look in looks)


def _versions(commands: Commands) -> dict[str, str]:
    """Of what took part; what does not answer is left out, for it may be what has failed."""
    found = {"Moorline": chart_version()}
    if answer := _printed(commands, "kubectl", "version", "--output=json"):
        found["Kubernetes"] = json.loads(answer)["serverVersion"]["gitVersion"].removeprefix("v")
    runtime = "jsonpath={.items[0].status.nodeInfo.containerRuntimeVersion}"
    if answer := _printed(commands, "kubectl", "get", "nodes", f"--output={runtime}"):
        name, _, version = answer.partition("://")
        found[name] = version
    if answer := _printed(commands, "helm", "version", "--template={{.Version}}"):
        found["Helm"] = answer.removeprefix("v")
    return found


def _printed(commands: Commands, *command: str) -> str:
    answer = subprocess.run(
        command, env=commands.environment, capture_output=True, text=True, check=False
    )
    return "" if answer.returncode else answer.stdout.strip()


def main() -> int:
    """Put what the last run has left into docs/e2e.md."""
    run = msgspec.json.decode((RESULTS / _REPORT).read_bytes(), type=Run)
    path = ROOT / "docs" / "e2e.md"
    page = filled(path.read_text(), "the last run", table(run))
    if looks := _looks(RESULTS):
        page = filled(page, "looks", looks)
    path.write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
