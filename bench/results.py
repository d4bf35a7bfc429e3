"""What a run found: rows with their targets, and everything needed to judge them later."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from bench.figures import Figure

FOLDER: Final = Path(__file__).with_name("results")


class Unit(enum.StrEnum):
    """What a target is given in."""

    RATIO = "×"
    MILLISECONDS = "ms"
    SECONDS = "s"
    MEGABYTES = "MB"
    MILLICORES = "mCPU"
    PERCENT = "%"
    WRITES = "writes"


class Target(Struct, frozen=True):
    """A bound: at least, or at most, so much."""

    bound: float
    unit: Unit = Unit.RATIO
    is_least: bool = True

    def is_met(self, value: float) -> bool:
        return value >= self.bound if self.is_least else value <= self.bound

    def missed_by(self, value: float) -> float:
        """How far a value is off, as a part of the bound, or of 1 if that is 0; 0 if it is met."""
        return 0.0 if self.is_met(value) else abs(value - self.bound) / (self.bound or 1.0)


def at_least(bound: float, unit: Unit = Unit.RATIO) -> Target:
    return Target(bound, unit)


def at_most(bound: float, unit: Unit = Unit.RATIO) -> Target:
    return Target(bound, unit, is_least=False)


class Row(Struct, frozen=True, kw_only=True):
    """One line of the table.

    `value` is in the unit of the target. `ours` and `theirs` are what was measured, as text;
    `cost` is the ratio of CPU time a request, peer to ours, which a busy machine disturbs less.
    """

    name: str
    what: str
    against: str
    target: Target
    value: Figure
    ours: str = ""
    theirs: str = ""
    cost: Figure | None = None
    note: str = ""

    @property
    def is_met(self) -> bool:
        return self.target.is_met(self.value.median)


class Curve(Struct, frozen=True, kw_only=True):
    """How a figure goes while one quantity grows: a plot of its own."""

    what: str
    quantity: str
    unit: str
    points: Sequence[tuple[float, Figure]]


class Absence(Struct, frozen=True):
    """A group of rows that was not measured, and why."""

    group: str
    why: str
    is_for_tool: bool = False


class Run(Struct, frozen=True, kw_only=True):
    """A whole run, as it is kept in `results/<name>.json`."""

    name: str
    when: str
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    method: Mapping[str, str]
    rows: Sequence[Row]
    curves: Sequence[Curve] = ()
    absent: Sequence[Absence] = ()


def keep(run: Run, folder: Path = FOLDER) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{run.name}.json"
    file.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")
    return file


def kept(file: Path) -> Run:
    return msgspec.json.decode(file.read_bytes(), type=Run)
