"""Rows for tests."""

from bench.figures import Figure
from bench.results import Row, Run, Target, at_least


def row(value: float, target: Target | None = None, name: str = "hit-redis") -> Row:
    return Row(
        name=name,
        what="L1-hit `GET`",
        against="Redis",
        target=at_least(1.0) if target is None else target,
        value=Figure(value, value * 0.9, value * 1.1),
        ours="20,000/s",
        theirs="40,000/s",
        cost=Figure(0.4, 0.3, 0.5),
    )


def run(*rows: Row) -> Run:
    return Run(
        name="full",
        when="2026-11-22T12:00+00:00",
        machine={"cores": "2"},
        versions={"redis-server": "7.0.15"},
        method={"seconds": "4", "rounds": "5", "seed": "7", "minutes": "14.0"},
        rows=rows,
    )
