"""Mutual exclusion of writers: of threads, of processes, and of machines that share a volume.

A lock is a range of one byte in a file of locks, at a place that the name of the session gives, so
that two sessions hardly ever share one. Open file description locks (Linux `fcntl(2)`) belong to
whoever opened the file: they exclude threads as well, and are gone with the process, however it
ends. They are never waited for in the kernel, where nothing could end the wait.
"""

from __future__ import annotations

import errno
import fcntl
import os
import random
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from moorline_sidecar.errors import StoreUnavailable
from moorline_sidecar.stores.file_calls import Call

LOCK_FILE: Final = "locks"

_OPEN: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_PRIVATE: Final = 0o600
_DIGITS: Final = 15
"""Of the name, as the place of its lock: below 2^63, which is where a file ends."""

_FLOCK: Final = "hhqqi4x"
"""`struct flock` of 64-bit Linux: type, whence, start, length, process (0 for these locks)."""

_FIRST_PAUSE_SECONDS: Final = 0.000_5
_PAUSE_SECONDS_MAX: Final = 0.02
_HELD: Final = frozenset({errno.EAGAIN, errno.EACCES})


@contextmanager
def holding(root: int, names: Iterable[str], call: Call) -> Iterator[None]:
    """Nobody else holds any of these names meanwhile.

    They are locked in order, so that two holders of several never wait for each other.

    Raises:
        StoreUnavailable: another process holds one of them for too long.
        OSError: the file system has no locks, or the file cannot be written to.
    """
    file = os.open(LOCK_FILE, _OPEN, _PRIVATE, dir_fd=root)
    try:
        for place in sorted({int(name[:_DIGITS], 16) for name in names}):
            _wait_for(file, place, call)
        yield
    finally:
        # All its locks go with it.
        os.close(file)


def try_lock(file: int, place: int) -> bool:
    """Whether this file, as it was opened, has the lock now."""
    wanted = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, place, 1, 0)
    try:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, wanted)
    except OSError as error:
        if error.errno in _HELD:
            return False
        raise
    return True


def excludes(root: int) -> bool:
    """Whether the file system keeps its promise: what one has locked another cannot lock."""
    first = os.open(LOCK_FILE, _OPEN, _PRIVATE, dir_fd=root)
    try:
        second = os.open(LOCK_FILE, _OPEN, _PRIVATE, dir_fd=root)
        try:
            # A place of its own, so that two that try at once hardly ever meet.
            place = random.getrandbits(4 * _DIGITS)
            return try_lock(first, place) and not try_lock(second, place)
        finally:
            os.close(second)
    finally:
        os.close(first)


def _wait_for(file: int, place: int, call: Call) -> None:
    pause = _FIRST_PAUSE_SECONDS
    while not try_lock(file, place):
        call.check()
        if call.seconds_left < pause:
            raise StoreUnavailable("another process has held the lock of the session for too long")
        time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 jitter
        pause = min(2 * pause, _PAUSE_SECONDS_MAX)
