"""Rows out of two series of measurements, taken in turns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bench.figures import figure, ratio
from bench.load import Sample
from bench.results import Row, Target
from bench.stage import Series, costs, rates

OURS: Final = "Moorline"


def rate_row(
    name: str, compared: tuple[str, str], target: Target, series: Series, rival: str
) -> Row:
    """Requests a second, ours to a rival's; `compared` says what, and against what."""
    ours, theirs = series[OURS], series[rival]
    what, against = compared
    return Row(
        name=name,
        what=what,
        against=against,
        target=target,
        value=ratio(rates(ours), rates(theirs)),
        ours=shown(ours),
        theirs=shown(theirs),
        cost=ratio(costs(theirs), costs(ours)),
    )


def shown(samples: Sequence[Sample]) -> str:
    rate, p50, cpu = (
        figure(values).median
        for values in (
            [sample.rate for sample in samples],
            [sample.p50_us for sample in samples],
            [sample.cpu_us for sample in samples],
        )
    )
    return f"{rate:,.0f}/s, p50 {p50 / 1e3:.2f} ms, {cpu:.0f} µs CPU"
