"""A disk that tells of each step of a write, so that a test fails, waits or dies there."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from moorline_sidecar.stores.file_disk import Disk, Staged


class StepDisk(Disk):
    """Calls `before` with the name of each step, which may raise instead, or never come back."""

    def __init__(self, before: Callable[[str], None] | None = None) -> None:
        self.before = before or nothing

    def mark(self, folder: int, name: str) -> bool:
        self.before("mark")
        return super().mark(folder, name)

    def stage(self, folder: int, name: str, data: bytes, time_ns: int | None = None) -> Staged:
        self.before("stage")
        return super().stage(folder, name, data, time_ns)

    def flush(self, descriptor: int) -> None:
        self.before("flush")
        super().flush(descriptor)

    def publish(self, staged: Staged) -> None:
        self.before("publish")
        super().publish(staged)

    def remove(self, folder: int, name: str) -> bool:
        self.before("remove")
        return super().remove(folder, name)

    @contextmanager
    def failing(self, step: str, number: int) -> Iterator[None]:
        """The step fails with this error meanwhile."""

        def fail(found: str) -> None:
            if found == step:
                raise OSError(number, os.strerror(number))

        self.before = fail
        try:
            yield
        finally:
            self.before = nothing


class FullDisk(StepDisk):
    """Has room for no other file while `is_full`, but for each that goes from the reserve."""

    def __init__(self) -> None:
        super().__init__()
        self.is_full = False
        self.room = 0

    def stage(self, folder: int, name: str, data: bytes, time_ns: int | None = None) -> Staged:
        if self.is_full:
            if not self.room:
                raise OSError(28, "No space left on device")
            self.room -= 1
        return super().stage(folder, name, data, time_ns)

    def remove(self, folder: int, name: str) -> bool:
        was_there = super().remove(folder, name)
        self.room += was_there and name.isdigit()
        return was_there


def nothing(_step: str) -> None:
    """All is well."""


def files_in(directory: Path, pattern: str) -> list[Path]:
    """In no order."""
    return list(directory.glob(pattern))
