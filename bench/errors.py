"""What ends a measurement.

BenchError
└── ToolMissing    a program of the system is not installed
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
