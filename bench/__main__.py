"""`make bench`: everything that performance is promised of, measured beside its peers."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Final

from bench.catalogue import GROUPS, LONG
from bench.errors import BenchError, ProgramNotBuilt, ToolMissing
from bench.machine import machine, versions
from bench.results import Absence, Curve, Row, Run, keep
from bench.servers import tool
from bench.settings import Settings, available_cores
from bench.stage import Group, clear
from bench.table import line

PYTHON_VARIABLE: Final = "MOORLINE_BENCH_PYTHON"
INTERRUPTED: Final = 130


def main() -> int:
    """0 if every row asked for was measured, whether or not it meets its target."""
    asked = _arguments()
    wanted = asked.only or (LONG if asked.long else [group.name for group in GROUPS])
    groups = [group for group in GROUPS if group.name in wanted]
    signal.signal(signal.SIGTERM, _interrupt)
    with tempfile.TemporaryDirectory(prefix="moorline-bench-") as folder:
        settings = _settings(asked, Path(folder))
        os.sched_setaffinity(0, {settings.cores.load})
        run = _measured(settings, groups, _name(asked))
    print(f"\nkept in {keep(run).relative_to(Path.cwd())}")
    for absence in run.absent:
        print(f"not measured: {absence.group}: {absence.why}", file=sys.stderr)
    is_whole = not run.absent or (asked.quick and all(a.is_for_tool for a in run.absent))
    return 0 if is_whole else 1


def _arguments() -> argparse.Namespace:
    names = [group.name for group in GROUPS]
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--quick", action="store_true", help="under five minutes; judges nothing")
    sizes.add_argument(
        "--long", action="store_true", help="growth alone, to a million stored sessions"
    )
    parser.add_argument(
        "--only", action="append", choices=names, metavar="NAME", help=f"one of {', '.join(names)}"
    )
    parser.add_argument("--seconds", type=float, help="one measurement; 4, or 1 if quick")
    parser.add_argument("--rounds", type=int, help="repetitions; 5, or 2 if quick")
    parser.add_argument("--seed", type=int, default=7, help="of all that is drawn at random")
    parser.add_argument("--name", help="of the file in bench/results")
    parser.add_argument(
        "--sidecar-python",
        type=Path,
        default=Path(os.environ.get(PYTHON_VARIABLE) or sys.executable),
        help=f"whose moorline_sidecar is measured; also ${PYTHON_VARIABLE}",
    )
    return parser.parse_args()


def _settings(asked: argparse.Namespace, folder: Path) -> Settings:
    return Settings(
        is_quick=asked.quick,
        is_long=asked.long,
        seconds=asked.seconds or (1.0 if asked.quick else 4.0),
        rounds=asked.rounds or (2 if asked.quick else 5),
        seed=asked.seed,
        # Not resolved: the link in a virtual environment is what makes it one.
        sidecar_python=asked.sidecar_python.absolute(),
        cores=available_cores(),
        folder=folder,
    )


def _name(asked: argparse.Namespace) -> str:
    if asked.name:
        return str(asked.name)
    kind = "quick" if asked.quick else "long" if asked.long else "full"
    return "-".join([kind, *asked.only]) if asked.only else kind


def _measured(settings: Settings, groups: Sequence[Group], name: str) -> Run:
    started = datetime.now(UTC)
    rows: list[Row] = []
    curves: list[Curve] = []
    absent: list[Absence] = []
    for group in groups:
        print(f"\n{group.title}", flush=True)
        try:
            for program, package in group.programs.items():
                tool(program, package)
            for found in group.measure(settings):
                clear()
                if isinstance(found, Row):
                    rows.append(found)
                    print(line(found, is_judged=not settings.is_quick), flush=True)
                else:
                    curves.append(found)
        except Exception as error:  # noqa: BLE001 - the other rows are worth having
            clear()
            absence = absence_of(group.name, error)
            absent.append(absence)
            print(f"  not measured: {absence.why}", flush=True)
    return Run(
        name=name,
        when=started.isoformat(timespec="minutes"),
        machine=machine(),
        versions=versions(settings),
        method={
            "seconds": f"{settings.seconds:g}",
            "rounds": str(settings.rounds),
            "seed": str(settings.seed),
            "minutes": f"{(datetime.now(UTC) - started).total_seconds() / 60:.1f}",
        },
        rows=rows,
        curves=curves,
        absent=absent,
    )


def absence_of(group: str, error: Exception) -> Absence:
    """A sentence for what went wrong; of a group of errors, the first."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    is_expected = isinstance(error, BenchError)
    why = str(error) if is_expected else f"{type(error).__name__}: {error}"
    return Absence(group, why, isinstance(error, ToolMissing | ProgramNotBuilt))


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nstopped; nothing is kept", file=sys.stderr)
        sys.exit(INTERRUPTED)
