"""The folders of a store in files, and the names in them.

    <directory>/sessions/<2>/<64>          one file a session: its name is a hash of the key
    <directory>/principals/<2>/<32>.<64>   an empty file for each session of a principal
    <directory>/workers/<64>               one file a process
    <directory>/reserve/<n>                room to end sessions in when the disk is full
    <directory>/locks                      an empty file, see `file_locks`
    <directory>/format                     the version of all this

The digits are hexadecimal, those of the folders the first of the names in them. All folders are
made once: where one is missing, the store is out of reach, instead of empty.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from moorline_sidecar.domain.session import Record
from moorline_sidecar.stores.file_disk import Disk
from moorline_sidecar.stores.file_format import Unreadable, decoded, decoded_head, due_of, time_of

SESSIONS: Final = "sessions"
PRINCIPALS: Final = "principals"
WORKERS: Final = "workers"
RESERVE: Final = "reserve"
FORMAT_FILE: Final = "format"
SHARDS: Final = tuple(f"{number:02x}" for number in range(256))
"""A million sessions are four thousand files in each of them."""

_SHARD_DIGITS: Final = 2
_PRINCIPAL_DIGITS: Final = 32
_NAME: Final = re.compile(r"[0-9a-f]{64}\Z")
_REPORTED_MAX: Final = 1_000

_OF_THE_STORE: Final = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.ETIMEDOUT, errno.EINTR}
)
"""Errors in opening a file that say nothing about the file."""

log = structlog.get_logger(__name__)


def name_of(key: str) -> str:
    """The name of a key's file: nothing of what a caller sent is in it."""
    return hashlib.sha256(key.encode()).hexdigest()


def is_name(name: str) -> bool:
    return _NAME.match(name) is not None


def shard_of(name: str) -> str:
    return name[:_SHARD_DIGITS]


def principal_prefix(principal: str) -> str:
    """What the names of the marks of a principal begin with."""
    return f"{name_of(principal)[:_PRINCIPAL_DIGITS]}."


class Tree:
    """The folders of a store, opened for one call."""

    def __init__(self, disk: Disk, root: int, sessions: int, reports: Reports) -> None:
        self.disk = disk
        self.root = root
        self._sessions = sessions
        self._reports = reports

    @contextmanager
    def shard(self, shard: str) -> Iterator[int]:
        """The folder of the files whose names begin so."""
        with self.disk.folder(self._sessions, shard) as folder:
            yield folder

    @contextmanager
    def marks(self, principal: str) -> Iterator[int]:
        """The folder with the marks of a principal, among others'."""
        with (
            self.disk.folder(self.root, PRINCIPALS) as principals,
            self.disk.folder(principals, shard_of(principal_prefix(principal))) as folder,
        ):
            yield folder

    def load(self, key: str) -> Record | None:
        """The record of a key; None where there is none that can be read."""
        name = name_of(key)
        with self.shard(shard_of(name)) as folder:
            return self.record(folder, name)

    def head_of(self, name: str) -> Record | None:
        """The same without attributes, by the name of the file."""
        with self.shard(shard_of(name)) as folder:
            return self.head(folder, name)

    def record(self, folder: int, name: str) -> Record | None:
        try:
            return _checked(decoded(self.disk.read(folder, name)), name)
        except FileNotFoundError:
            return None
        except (Unreadable, OSError) as error:
            self._pass_over(name, error)
            return None

    def head(self, folder: int, name: str, *, sets_time: bool = False) -> Record | None:
        """With `sets_time` the file tells from then on when it is due."""

        def head_of(beginning: bytes) -> Record:
            return _checked(decoded_head(beginning), name)

        def time_by(beginning: bytes) -> int:
            return time_of(due_of(head_of(beginning)))

        try:
            return head_of(self.disk.read_head(folder, name, time_by if sets_time else None))
        except FileNotFoundError:
            return None
        except (Unreadable, OSError) as error:
            self._pass_over(name, error)
            return None

    def exists(self, folder: int, name: str) -> bool:
        """Whether something has the name, of use or not."""
        try:
            os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def _pass_over(self, name: str, error: Exception) -> None:
        if isinstance(error, OSError) and error.errno in _OF_THE_STORE:
            raise error
        self._reports.unreadable(f"{SESSIONS}/{shard_of(name)}/{name}", error)


class Reports:
    """Tells of each file that is of no use, once."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._files: set[str] = set()

    def unreadable(self, path: str, error: Exception) -> None:
        """`path` is below the directory."""
        with self._mutex:
            if path in self._files or len(self._files) >= _REPORTED_MAX:
                return
            self._files.add(path)
        why = error.strerror if isinstance(error, OSError) else str(error)
        log.error("the file of a session cannot be read", file=path, why=why)


@contextmanager
def opened(disk: Disk, directory: str, reports: Reports) -> Iterator[Tree]:
    """Raises OSError: it is not there, or not prepared, or not to be read."""
    with disk.root(directory) as root, disk.folder(root, SESSIONS) as sessions:
        yield Tree(disk, root, sessions, reports)


def _checked(record: Record, name: str) -> Record:
    """The record, if the file is in its place."""
    if name_of(record.key) != name:
        raise Unreadable("it belongs to another session: somebody has moved it")
    return record
