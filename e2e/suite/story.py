"""What a scenario does and sees: told as it happens, and kept as a row of the report."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from e2e.app.crowd import Report


class Row(Struct):
    """One scenario: `seen` are the reports of its crowds, `facts` what else it has measured."""

    title: str
    seconds: float = 0.0
    seen: list[Report] = []
    facts: list[str] = []
    passed: bool = False


class Story:
    """The scenario that runs now; its files are in `folder`, `say` gets its lines as they come."""

    def __init__(self, title: str, folder: Path, say: Callable[[str], None]) -> None:
        self.folder: Final = folder
        self.row: Final = Row(title)
        self._say = say
        self._begun = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)
        self.say("begins")

    def say(self, line: str) -> None:
        """Tell what takes a while."""
        self._say(f"{self.row.title}: {line}")

    def note(self, fact: str) -> None:
        """Keep a sentence for the report, and tell it."""
        self.row.facts.append(fact)
        self.say(fact)

    def end(self, *, passed: bool) -> None:
        """Keep the row as `row.json`, from which the report is gathered."""
        self.row.passed = passed
        self.row.seconds = round(time.monotonic() - self._begun, 1)
        (self.folder / "row.json").write_bytes(msgspec.json.encode(self.row))
        self.say(f"{'passed' if passed else 'FAILED'} after {self.row.seconds:.0f} s")

    def keep(self, name: str, text: str) -> None:
        """Write a file to read later."""
        (self.folder / name).write_text(text)


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begun
