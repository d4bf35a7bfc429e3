"""What a run measures, how long, and on which cores."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct


class Cores(Struct, frozen=True):
    """Where the server under test runs, and where load, stores and this process do."""

    server: int
    load: int


class Settings(Struct, frozen=True, kw_only=True):
    """The arguments of a run. `seconds` is one measurement, repeated `rounds` times.

    `sidecar_python` is the interpreter whose `moorline_sidecar` is measured.
    """

    is_quick: bool
    is_long: bool
    seconds: float
    rounds: int
    seed: int
    sidecar_python: Path
    cores: Cores
    folder: Path

    def sized(self, full: int, quick: int) -> int:
        """The size for this kind of run."""
        return quick if self.is_quick else full


def available_cores() -> Cores:
    """The first two cores that this process may use; the same one twice if there is one only."""
    cores = sorted(os.sched_getaffinity(0))
    return Cores(server=cores[0], load=cores[1 % len(cores)])
