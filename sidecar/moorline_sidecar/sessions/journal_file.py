"""A file of records that survives the process: appended, checksummed, flushed to the disk.

A record is its length and its CRC-32, four bytes each, big-endian, and then its bytes. What follows
the last whole record was being written when the process or the machine went down; nobody was told
that it is there, and it is cut off. All failures of the disk leave the file as it was before.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import stat
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Self

import structlog

from moorline_sidecar.errors import ConfigurationError

MAGIC: Final = b"moorline journal 1\n"
FILE_NAME: Final = "changes.journal"
_HEAD: Final = struct.Struct(">II")
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_PRIVATE: Final = stat.S_IRUSR | stat.S_IWUSR


log = structlog.get_logger(__name__)


class JournalFull(Exception):
    """The record could not be written; the file is as it was. It says why."""


class JournalFile:
    """One process's file in a folder; records that are given together share one flush."""

    def __init__(self, descriptor: int, size: int, records: Sequence[bytes]) -> None:
        self._descriptor = descriptor
        self._size = size
        self._queued = 0
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._committing: asyncio.Task[None] | None = None
        self._is_broken = False
        self.records = records
        """What an earlier process left behind."""

    @classmethod
    def open(cls, folder: str) -> Self:
        """The file in `folder`, for this process alone.

        Raises:
            ConfigurationError: it cannot be used, or another process uses it.
        """
        path = Path(folder) / FILE_NAME
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise _unusable(path, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.fchmod(descriptor, _PRIVATE)
            content = _checked(_content(descriptor), path)
            records = list(_records(content))
            size = len(MAGIC) + sum(_HEAD.size + len(record) for record in records)
            if any(content[size:]):
                log.warning("the end of the journal was cut off", bytes=len(content) - size)
            is_broken = not _begun(descriptor, size)
            _flush_folder(path.parent)
        except BlockingIOError:
            os.close(descriptor)
            raise ConfigurationError(
                [f"MOORLINE_JOURNAL: {path} is in use by another process"]
            ) from None
        except OSError as error:
            os.close(descriptor)
            raise _unusable(path, error) from error
        except ConfigurationError:
            os.close(descriptor)
            raise
        file = cls(descriptor, size, records)
        file._is_broken = is_broken
        return file

    @property
    def size(self) -> int:
        """Bytes in the file, and those that are about to be."""
        return self._size + self._queued

    async def append(self, record: bytes) -> None:
        """Return once the record is on the disk.

        Raises:
            JournalFull: it is not, and will not be.
        """
        frame = _HEAD.pack(len(record), zlib.crc32(record)) + record
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((frame, future))
        self._queued += len(frame)
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit())
        await future

    def clear(self) -> None:
        """Forget all records: what they say is in the store."""
        is_clear = self._size == len(MAGIC) and not self._is_broken
        if is_clear or self._committing is not None:
            return
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, len(MAGIC))
            self._size = len(MAGIC)
            self._mend()

    async def close(self) -> None:
        """Let another process have the file."""
        if self._committing is not None:
            await asyncio.wait([self._committing])
        os.close(self._descriptor)
        # The number may soon be that of another file.
        self._descriptor = -1

    async def _commit(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                data = b"".join(frame for frame, _ in batch)
                error: OSError | None = None
                try:
                    # Flushing takes milliseconds, in which others are to be served.
                    await asyncio.to_thread(self._flush, data)
                except OSError as raised:
                    error = raised
                self._queued -= len(data)
                for _, future in batch:
                    if not future.done():
                        _resolve(future, error)
        finally:
            self._committing = None

    def _mend(self) -> None:
        """Have the file as it should be, whatever could not be written or undone before."""
        _write_at(self._descriptor, MAGIC, 0)
        os.ftruncate(self._descriptor, self._size)
        os.fsync(self._descriptor)
        self._is_broken = False

    def _flush(self, data: bytes) -> None:
        if self._is_broken:
            self._mend()
        try:
            _write_at(self._descriptor, data, self._size)
            os.fsync(self._descriptor)
        except OSError:
            self._is_broken = True
            # Half a record would hide those that come after it.
            with contextlib.suppress(OSError):
                self._mend()
            raise
        self._size += len(data)


def _resolve(future: asyncio.Future[None], error: OSError | None) -> None:
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(JournalFull(error.strerror or str(error)))
        future.exception()


def _write_at(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _content(descriptor: int) -> bytes:
    size = os.fstat(descriptor).st_size
    chunks: list[bytes] = []
    offset = 0
    while offset < size and (chunk := os.pread(descriptor, size - offset, offset)):
        chunks.append(chunk)
        offset += len(chunk)
    return b"".join(chunks)


def _checked(content: bytes, path: Path) -> bytes:
    """The content, if it is that of a journal, or of one that was being made."""
    head = content[: len(MAGIC)]
    if not MAGIC.startswith(head) and any(head):
        raise ConfigurationError([f"MOORLINE_JOURNAL: {path} is no journal"])
    # A machine that goes down may leave zeros where something was being written.
    return content if any(head) else b""


def _begun(descriptor: int, size: int) -> bool:
    """Have the file begin as a journal, and end after `size`; false if the disk is full."""
    try:
        _write_at(descriptor, MAGIC, 0)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        return False
    os.ftruncate(descriptor, size)
    os.fsync(descriptor)
    return True


def _records(content: bytes) -> Iterator[bytes]:
    """The whole records up to the first that is not."""
    offset = len(MAGIC)
    while offset + _HEAD.size <= len(content):
        length, checksum = _HEAD.unpack_from(content, offset)
        start = offset + _HEAD.size
        record = content[start : start + length]
        if len(record) != length or not length or zlib.crc32(record) != checksum:
            return
        yield record
        offset = start + length


def _flush_folder(folder: Path) -> None:
    """A new name is only durable once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unusable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError([f"MOORLINE_JOURNAL: {path}: {error.strerror}"])
