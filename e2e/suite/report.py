"""The report of a run: a row a scenario, as JSON and as the table of docs/e2e.md.

python -m e2e.suite.report      # writes docs/e2e.md from the last run
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from e2e.suite.commands import ROOT, Commands
from e2e.suite.story import Row
from e2e.suite.target import Target

RESULTS: Final = ROOT / "e2e-results"
_TABLE_BEGINS: Final = "<!-- written by `python -m e2e.suite.report` -->\n"
_TABLE_ENDS: Final = "<!-- end -->\n"


class Run(Struct, frozen=True):
    """One run of the suite, and what it ran on."""

    date: str
    way: str
    versions: dict[str, str]
    rows: list[Row]


def write_report(results: Path, target: Target) -> None:
    """Gather the rows that scenarios have left in their folders."""
    files = sorted(results.glob("*/row.json"), key=lambda file: file.stat().st_mtime)
    rows = [msgspec.json.decode(file.read_bytes(), type=Row) for file in files]
    run = Run(time.strftime("%Y-%m-%d"), target.way, _versions(target), rows)
    (results / "report.json").write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1))


def table(run: Run) -> str:
    """The report for people, in Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    lines = [
        f"{run.date}, {_WAYS[run.way]}; {versions}.",
        "",
        "| scenario | s | users | requests | errors | slowest, ms | logouts | seen |",
        "|---|--:|--:|--:|--:|--:|--:|---|",
        *map(_line, run.rows),
        "",
    ]
    return "\n".join(lines)


_WAYS: Final = {
    "own": "the single-node cluster of `e2e/cluster`",
    "kind": "kind",
    "given": "a cluster that was given",
}


def _line(row: Row) -> str:
    counts: Sequence[str] = ("", "", "", "", "")
    if row.seen:
        counts = (
            str(max(report.users for report in row.seen)),
            f"{sum(report.requests for report in row.seen):,}",
            str(sum(len(report.failures) for report in row.seen)),
            f"{max(report.slowest_ms for report in row.seen):.0f}",
            str(sum(report.logouts for report in row.seen)),
        )
    served = [report.served for report in row.seen]
    pods = len({pod for one in served for pod in one} - {"nobody"})
    workers = sorted({worker for report in row.seen for worker in report.workers})
    facts = [fact for fact in row.facts if "promises broken" not in fact]
    if row.seen:
        facts.append(f"{pods} pods as {', '.join(workers)}")
    title = row.title if row.passed else f"**failed:** {row.title}"
    return f"| {title} | {row.seconds:.0f} | {' | '.join(counts)} | {'; '.join(facts)} |"


def _versions(target: Target) -> dict[str, str]:
    commands = Commands(target.kubeconfig)
    answer = subprocess.run(
        ("kubectl", "version", "--output=json"),
        env=commands.environment,
        capture_output=True,
        check=False,
    )
    if answer.returncode:
        return {}
    server = json.loads(answer.stdout)["serverVersion"]["gitVersion"]
    return {"Kubernetes": server.removeprefix("v")}


def main() -> int:
    """Put the table of the last run into docs/e2e.md."""
    run = msgspec.json.decode((RESULTS / "report.json").read_bytes(), type=Run)
    page = ROOT / "docs" / "e2e.md"
    before, begins, rest = page.read_text().partition(_TABLE_BEGINS)
    _, ends, after = rest.partition(_TABLE_ENDS)
    page.write_text(f"{before}{begins}\n{table(run)}\n{ends}{after}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
