"""What is done with a disk, one system call a method, safe against what others put there.

No symbolic link below the root is followed, nothing but a regular file is read, and no name comes
from outside: a name is a hash.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from moorline_sidecar.stores.file_format import (
    FILE_BYTES_MAX,
    HEAD_READ_BYTES,
    Unreadable,
    head_bytes_of,
)

NEW: Final = ".new"
"""How names of files end that are being written; nobody reads those."""

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_WRITE_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PRIVATE: Final = 0o600
_PRIVATE_FOLDER: Final = 0o700


class Disk:
    """Every method may raise OSError. A test takes its place to fail, or to die, at any of them."""

    @contextmanager
    def root(self, path: str) -> Iterator[int]:
        """The directory itself; a link to it is followed, as volumes often are links."""
        folder = os.open(path, _FOLDER)
        try:
            yield folder
        finally:
            os.close(folder)

    @contextmanager
    def folder(self, parent: int, name: str) -> Iterator[int]:
        folder = _unnoticed(name, _FOLDER | os.O_NOFOLLOW, parent)
        try:
            yield folder
        finally:
            os.close(folder)

    def make_root(self, path: str) -> None:
        with suppress(FileExistsError):
            Path(path).mkdir(_PRIVATE_FOLDER)

    def make_folder(self, parent: int, name: str) -> None:
        with suppress(FileExistsError):
            os.mkdir(name, _PRIVATE_FOLDER, dir_fd=parent)

    def read(self, folder: int, name: str) -> bytes:
        """The whole file.

        Raises:
            FileNotFoundError: there is none.
            Unreadable: it is no regular file, or far too large.
        """
        with _opened(folder, name) as file:
            size = os.fstat(file).st_size
            if size > FILE_BYTES_MAX:
                raise Unreadable(f"it has {size} bytes")
            return _read(file, size)

    def read_head(
        self, folder: int, name: str, time_by: Callable[[bytes], int] | None = None
    ) -> bytes:
        """The beginning of the file, with its head; raises as `read` does.

        `time_by` gives the file, and no other that takes its place meanwhile, another time.
        """
        with _opened(folder, name) as file:
            beginning = _read(file, HEAD_READ_BYTES)
            size = head_bytes_of(beginning)
            if size > FILE_BYTES_MAX:
                raise Unreadable("its head is too large")
            beginning += _read(file, size - len(beginning))
            if time_by is not None:
                time_ns = time_by(beginning)
                with suppress(OSError):
                    os.utime(file, ns=(time_ns, time_ns))
            return beginning

    def stage(self, folder: int, name: str, data: bytes, time_ns: int | None = None) -> Staged:
        """A new file beside `name`, not yet flushed; nothing is left of it if that fails."""
        temporary = f"{name}.{secrets.token_hex(6)}{NEW}"
        file = os.open(temporary, _WRITE_NEW, _PRIVATE, dir_fd=folder)
        staged = Staged(folder, name, temporary, file)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(file, view) :]
            if time_ns is not None:
                os.utime(file, ns=(time_ns, time_ns))
        except BaseException:
            staged.discard()
            raise
        return staged

    def flush(self, descriptor: int) -> None:
        """Have a file or a folder on the disk."""
        os.fsync(descriptor)

    def publish(self, staged: Staged) -> None:
        """Put the new file in the place of the old one: from here on it is what others read."""
        os.replace(
            staged.temporary, staged.name, src_dir_fd=staged.folder, dst_dir_fd=staged.folder
        )
        staged.is_published = True

    def remove(self, folder: int, name: str) -> bool:
        """Whether there was such a file."""
        try:
            os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            return False
        return True

    def mark(self, folder: int, name: str) -> bool:
        """Make an empty file; whether it was not there before."""
        try:
            os.close(os.open(name, _WRITE_NEW, _PRIVATE, dir_fd=folder))
        except FileExistsError:
            return False
        return True


class Staged:
    """A new file that is not in its place yet."""

    __slots__ = ("descriptor", "folder", "is_published", "name", "temporary")

    def __init__(self, folder: int, name: str, temporary: str, descriptor: int) -> None:
        self.folder = folder
        self.name = name
        self.temporary = temporary
        self.descriptor = descriptor
        self.is_published = False

    def discard(self) -> None:
        """Close it, and leave nothing behind, unless it is published."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
        if not self.is_published:
            with suppress(OSError):
                os.unlink(self.temporary, dir_fd=self.folder)
            self.is_published = True


@contextmanager
def _opened(folder: int, name: str) -> Iterator[int]:
    file = _unnoticed(name, _READ, folder)
    try:
        # What is no file may block whoever reads it, or never end.
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise Unreadable("it is no regular file")
        yield file
    finally:
        os.close(file)


def _unnoticed(name: str, flags: int, folder: int) -> int:
    """Opened so that reading leaves no time of access: else each reading would be a writing.

    Times of modification lie in the future, which makes every mount option but `noatime` note it.
    """
    try:
        return os.open(name, flags | os.O_NOATIME, dir_fd=folder)
    except PermissionError:
        # Only the owner may.
        return os.open(name, flags, dir_fd=folder)


def _read(file: int, size: int) -> bytes:
    chunks: list[bytes] = []
    while size > 0 and (chunk := os.read(file, size)):
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)
