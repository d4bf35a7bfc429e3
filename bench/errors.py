"""What ends a measurement.

BenchError
├── ToolMissing        a program of the system is not installed
└── ProgramNotBuilt    one of a Kubernetes cluster was not built
"""

from __future__ import annotations


class BenchError(Exception):
    """A measurement is not possible, or means nothing: the row fails."""


class ToolMissing(BenchError):
    """Install `package`, then run again."""

    def __init__(self, program: str, package: str) -> None:
        super().__init__(f"{program} is not installed; on Debian and Ubuntu: apt install {package}")
        self.program = program
        self.package = package


class ProgramNotBuilt(BenchError):
    """Run `make cluster`, which needs Go, then again."""

    def __init__(self, program: str) -> None:
        super().__init__(f"{program} is not built: `make cluster` builds it, with Go")
        self.program = program
