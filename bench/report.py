"""docs/performance.md and its plots, out of kept runs: `python -m bench.report [FILE]`.

A long run that is kept beside it as `long.json` has a part of its own. What is between the markers
is written anew; all else in the file is for people to write.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.plots import draw_curves, draw_ratios
from bench.results import FOLDER, Curve, Row, Run, Unit, kept
from bench.table import bound, number, shown, verdict

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "performance.md"
PLOTS: Final = ROOT / "docs" / "performance"
BEGIN: Final = "<!-- measured by `make bench`, written by `python -m bench.report` -->"
END: Final = "<!-- end of what was measured -->"


def main(file: Path) -> None:
    run = kept(file)
    longer = file.with_name("long.json")
    millions = [further(kept(longer), run)] if longer.exists() else []
    PLOTS.mkdir(exist_ok=True)
    draw_ratios(run.rows, PLOTS / "ratios.png")
    draw_curves(run.curves, PLOTS / "growth.png")
    page = PAGE.read_text(encoding="utf-8")
    text = "\n".join([measured(run, file), *millions])
    PAGE.write_text(replaced(page, text), encoding="utf-8")


def replaced(page: str, text: str) -> str:
    """The page with `text` between the markers.

    Raises:
        ValueError: a marker is missing.
    """
    before, found, rest = page.partition(f"{BEGIN}\n")
    _, found_end, after = rest.partition(END)
    if not found or not found_end:
        raise ValueError(f"{PAGE.name} lacks its markers")
    return f"{before}{BEGIN}\n\n{text}\n{END}{after}"


def measured(run: Run, file: Path) -> str:
    """All that a run says, as Markdown."""
    met = sum(row.is_met for row in run.rows)
    parts = [
        f"{met} of {len(run.rows)} targets were met: {file.name}, {run.when}, {_how(run)}.",
        table(run.rows),
        "![Ratios to the peers](performance/ratios.png)",
        *_absences(run),
        *(_growth(run.curves) if run.curves else ()),
        "### With what",
        _facts({**run.machine, **run.versions, "seed": run.method["seed"]}),
    ]
    return "\n\n".join(parts) + "\n"


def further(run: Run, before: Run) -> str:
    """What a long run says, as Markdown; of its curves those that go on where others end."""
    ends = {_axes(curve): _end(curve) for curve in before.curves}
    curves = [curve for curve in run.curves if _end(curve) > ends.get(_axes(curve), 0)]
    parts = [
        "### With a million sessions",
        f"`make bench ARGS=--long`, {run.when}, {_how(run)}.",
        table(run.rows),
        *_absences(run),
        *([_points(curves)] if curves else ()),
    ]
    return "\n\n".join(parts) + "\n"


def _axes(curve: Curve) -> tuple[str, str, str]:
    return curve.what, curve.quantity, curve.unit


def _end(curve: Curve) -> float:
    return max(at for at, _ in curve.points)


def _how(run: Run) -> str:
    how = run.method
    return f"{how['rounds']} rounds of {how['seconds']} s each, {how['minutes']} minutes in all"


def table(rows: Sequence[Row]) -> str:
    """One line for each row."""
    lines = [
        "| what | against | target | measured (least to most) | by CPU | verdict |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        cost = f"{number(row.cost.median)} {Unit.RATIO}" if row.cost is not None else ""
        value = shown(row.value, row.target.unit)
        cells = (
            row.what,
            _against(row),
            bound(row.target),
            _detailed(value, row),
            cost,
            verdict(row),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _against(row: Row) -> str:
    return f"{row.against}<br>{row.theirs}" if row.theirs else row.against


def _detailed(value: str, row: Row) -> str:
    return "<br>".join(part for part in (value, row.ours, row.note) if part)


def _absences(run: Run) -> list[str]:
    return [f"Not measured: {absence.group}, because {absence.why}." for absence in run.absent]


def _growth(curves: Sequence[Curve]) -> list[str]:
    return ["### Growth", _points(curves), "![Growth](performance/growth.png)"]


def _points(curves: Sequence[Curve]) -> str:
    lines = ["| what | grows | unit | points (least to most) |", "|---|---|---|---|"]
    for curve in curves:
        points = "; ".join(
            f"{at:,.0f}: {number(figure.median)} ({number(figure.low)} to {number(figure.high)})"
            for at, figure in curve.points
        )
        lines.append(f"| {curve.what} | {curve.quantity} | {curve.unit} | {points} |")
    return "\n".join(lines)


def _facts(facts: Mapping[str, str]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in facts.items())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER / "full.json")
