"""Making the folders of a store, and proving that the file system keeps what the store promises."""

from __future__ import annotations

from typing import Final

from moorline_sidecar.errors import ConfigurationError
from moorline_sidecar.stores.file_disk import Disk
from moorline_sidecar.stores.file_locks import excludes
from moorline_sidecar.stores.file_reserve import replenish
from moorline_sidecar.stores.file_tree import (
    FORMAT_FILE,
    PRINCIPALS,
    RESERVE,
    SESSIONS,
    SHARDS,
    WORKERS,
)

FORMAT: Final = b"moorline sessions 1\n"


def prepare(disk: Disk, directory: str) -> list[str]:
    """Make what is missing, on the disk when it returns; the names of the folders.

    Raises:
        ConfigurationError: the directory is of a newer version, or its file system is unfit.
        OSError: it cannot be made or written to.
    """
    disk.make_root(directory)
    with disk.root(directory) as root:
        is_made = _has_format(disk, root)
        for name in (SESSIONS, PRINCIPALS):
            disk.make_folder(root, name)
            with disk.folder(root, name) as folder:
                for shard in SHARDS:
                    disk.make_folder(folder, shard)
                disk.flush(folder)
        for name in (WORKERS, RESERVE):
            disk.make_folder(root, name)
        if not excludes(root):
            raise ConfigurationError(
                ["its file system has no locks that exclude: use a local disk, or NFS 4 with locks"]
            )
        if not is_made:
            # Not anew each time: a disk that is full keeps nobody from starting.
            _write_format(disk, root)
        disk.flush(root)
        replenish(disk, root)
    return [SESSIONS, PRINCIPALS, WORKERS]


def _has_format(disk: Disk, root: int) -> bool:
    try:
        found = disk.read(root, FORMAT_FILE)
    except FileNotFoundError:
        return False
    if found != FORMAT:
        raise ConfigurationError(
            ["its files are of another version of Moorline: use that version, or another directory"]
        )
    return True


def _write_format(disk: Disk, root: int) -> None:
    staged = disk.stage(root, FORMAT_FILE, FORMAT)
    try:
        disk.flush(staged.descriptor)
        disk.publish(staged)
    finally:
        staged.discard()
