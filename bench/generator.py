"""The load generator: `clients/load.c`, compiled when it is first needed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from bench.errors import BenchError
from bench.servers import tool

SOURCE: Final = Path(__file__).parent / "clients" / "load.c"
COMPILER: Final = {"cc": "gcc libc6-dev"}
"""With the packages that bring it."""

OPTIONS: Final = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror")


def generator(folder: Path) -> Path:
    """The program, in this folder.

    Raises:
        ToolMissing: there is no compiler.
        BenchError: the compiler refuses it.
    """
    program = folder / "load"
    if not program.exists():
        _compile(program)
    return program


def _compile(program: Path) -> None:
    ((compiler, package),) = COMPILER.items()
    command = [tool(compiler, package), *OPTIONS, "-o", str(program), str(SOURCE)]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    if done.returncode != 0:
        raise BenchError(f"{SOURCE.name} cannot be compiled: {done.stderr.strip()[-500:]}")
