"""Plots of a run, for docs/performance.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from matplotlib.figure import Figure as Sheet

from bench.results import Curve, Row, Unit

MET: Final = "#2f7d4f"
MISSED: Final = "#b4482f"
DOTS_PER_INCH: Final = 110
COLUMNS: Final = 2
HEADROOM: Final = 1.15


def draw_ratios(rows: Sequence[Row], file: Path) -> None:
    """How far each ratio is from its target, which is at 1; right of it is better."""
    drawn = [row for row in rows if row.target.unit is Unit.RATIO]
    sheet = Sheet(figsize=(8, 0.9 + 0.3 * len(drawn)), layout="constrained")
    axes = sheet.subplots()
    for place, row in enumerate(reversed(drawn)):
        low, median, high = (
            standing(row, value) for value in (row.value.low, row.value.median, row.value.high)
        )
        colour = MET if row.is_met else MISSED
        axes.barh(place, median, color=colour)
        axes.plot([low, high], [place, place], color="black", linewidth=1)
    axes.axvline(1, color="black", linestyle=":")
    axes.set_xscale("log")
    axes.set_yticks(range(len(drawn)), [row.name for row in reversed(drawn)])
    axes.set_xlabel("measured / target (for upper bounds: target / measured)")
    sheet.savefig(file, dpi=DOTS_PER_INCH, metadata={"Software": None})


def standing(row: Row, value: float) -> float:
    """1 at the target, more if it is better."""
    return value / row.target.bound if row.target.is_least else row.target.bound / max(value, 1e-9)


def draw_curves(curves: Sequence[Curve], file: Path) -> None:
    """Each curve in a field of its own, logarithmic along what grows, from 0 upwards."""
    if not curves:
        return
    lines = -(-len(curves) // COLUMNS)
    sheet = Sheet(figsize=(8, 2.4 * lines), layout="constrained")
    fields = sheet.subplots(lines, COLUMNS, squeeze=False).flatten()
    for axes, curve in zip(fields, curves, strict=False):
        at = [quantity for quantity, _ in curve.points]
        values = [figure for _, figure in curve.points]
        axes.fill_between(at, [v.low for v in values], [v.high for v in values], alpha=0.25)
        axes.plot(at, [v.median for v in values], marker="o")
        axes.set_xscale("log")
        axes.set_ylim(0, HEADROOM * max(v.high for v in values))
        axes.set_title(f"{curve.what}: {curve.unit}", fontsize=9)
        axes.set_xlabel(curve.quantity, fontsize=8)
    for axes in fields[len(curves) :]:
        axes.remove()
    sheet.savefig(file, dpi=DOTS_PER_INCH, metadata={"Software": None})
