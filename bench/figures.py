"""Figures out of repetitions: medians, ratios of neighbours in time, and how far they spread."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from msgspec import Struct


class Figure(Struct, frozen=True):
    """The median of repetitions, between the least and the greatest."""

    median: float
    low: float
    high: float

    @property
    def spread(self) -> float:
        """From the least to the greatest, as a part of the median."""
        return (self.high - self.low) / self.median if self.median else 0.0


def figure(values: Sequence[float]) -> Figure:
    return Figure(statistics.median(values), min(values), max(values))


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Figure:
    """Of each round's two measurements, which were taken one after the other."""
    return figure([our / their for our, their in zip(ours, theirs, strict=True)])


def percentile(ordered: Sequence[float], part: float) -> float:
    """The least value that is not below this part (0 to 1) of all: nearest rank."""
    if not ordered:
        raise ValueError("no values")
    rank = max(1, -(-len(ordered) * round(part * 10_000) // 10_000))
    return ordered[rank - 1]
