"""One process at a time: a lock that goes with the process that has it."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

TELL_SECONDS: Final = 15.0
POLL_SECONDS: Final = 0.2


@contextmanager
def locked(path: Path, what: str, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock that is the file `path`; `say` gets a line every 15 s that it takes.

    The line begins with `what`, which tells what the other process does.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    begun = told = time.monotonic()
    with path.open("w") as file:
        while not _try(file):
            if time.monotonic() - told >= TELL_SECONDS:
                told = time.monotonic()
                say(f"{what}: waiting for {told - begun:.0f} s")
            time.sleep(POLL_SECONDS)
        yield


def _try(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
