"""What a row needs to be measured, and how it tells what it found."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from msgspec import Struct

from bench.load import Sample
from bench.results import Curve, Row
from bench.settings import Settings

Found: TypeAlias = Row | Curve
Series: TypeAlias = Mapping[str, list[Sample]]


class Group(Struct, frozen=True):
    """Rows that are measured together; `measure` yields each as soon as it is known.

    `programs` are those of the system that it needs, each with the package that brings it.
    """

    name: str
    title: str
    measure: Callable[[Settings], Iterator[Found]]
    programs: Mapping[str, str] = {}


def chance_of(settings: Settings, what: str) -> random.Random:
    """Random numbers of a row's own: the same, whichever other rows are measured."""
    return random.Random(f"{settings.seed} {what}")  # noqa: S311 - it protects nothing


def alternate(
    settings: Settings,
    contenders: Mapping[str, Callable[[], Sample]],
    rounds: int | None = None,
) -> Series:
    """A B C, A B C, …: so many rounds, what disturbs one disturbs the others as well."""
    series: dict[str, list[Sample]] = {name: [] for name in contenders}
    for number in range(rounds or settings.rounds):
        for name, measure in contenders.items():
            say(f"round {number + 1}: {name}")
            series[name].append(measure())
    return series


def rates(samples: list[Sample]) -> list[float]:
    return [sample.rate for sample in samples]


def costs(samples: list[Sample]) -> list[float]:
    return [sample.cpu_us for sample in samples]


def say(what: str) -> None:
    """A line of progress, which the next one replaces on a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K  … {what}", end="", file=sys.stderr, flush=True)
    else:
        print(f"  … {what}", file=sys.stderr, flush=True)


def clear() -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
