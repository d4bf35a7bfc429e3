"""Rows as text: a line while it runs, a line of the table in docs/performance.md."""

from __future__ import annotations

from bench.figures import Figure
from bench.results import Row, Target, Unit


def line(row: Row, *, is_judged: bool) -> str:
    """For the terminal."""
    text = f"  {row.name:<22} {shown(row.value, row.target.unit)}"
    if row.cost is not None:
        text += f"  by CPU {row.cost.median:.2f} {Unit.RATIO}"
    if is_judged:
        text += f"  target {bound(row.target)}: {verdict(row)}"
    if row.ours:
        text += f"\n  {'':<22} ours {row.ours}"
    if row.theirs:
        text += f"\n  {'':<22} peer {row.theirs}"
    if row.note:
        text += f"\n  {'':<22} {row.note}"
    return text


def shown(value: Figure, unit: Unit) -> str:
    """A figure with what it spreads between."""
    if value.low == value.high:
        return f"{number(value.median)} {unit}"
    return f"{number(value.median)} {unit} ({number(value.low)} to {number(value.high)})"


def bound(target: Target) -> str:
    return f"{'≥' if target.is_least else '≤'} {number(target.bound)} {target.unit}"


def verdict(row: Row) -> str:
    if row.is_met:
        return "met"
    return f"missed by {row.target.missed_by(row.value.median):.0%}"


def number(value: float) -> str:
    """Three digits that count, and no exponent."""
    for least, digits in ((100, 0), (10, 1), (0.1, 2)):
        if abs(value) >= least:
            return f"{value:,.{digits}f}"
    return f"{value:.3f}"
