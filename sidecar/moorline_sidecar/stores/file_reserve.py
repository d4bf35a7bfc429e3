"""Room to end sessions in when the disk is full: an end writes a file before it frees one."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

from moorline_sidecar.stores.file_disk import Disk
from moorline_sidecar.stores.file_tree import RESERVE, Tree

PIECES: Final = 16
PIECE_BYTES: Final = 64 << 10
"""One is enough for as many ends as are written at once: each then frees what it replaces."""


def release(tree: Tree) -> bool:
    """Free one piece, and with it its place in the table of files; false if there is none left."""
    with suppress(OSError), tree.disk.folder(tree.root, RESERVE) as folder:
        return any(tree.disk.remove(folder, str(piece)) for piece in range(PIECES))
    return False


def replenish(disk: Disk, root: int) -> None:
    """Have all pieces, as far as there is room."""
    with suppress(OSError), disk.folder(root, RESERVE) as folder:
        with os.scandir(folder) as found:
            there = {entry.name for entry in found}
        for name in map(str, range(PIECES)):
            if name not in there:
                # Nothing that a file system could make smaller.
                staged = disk.stage(folder, name, os.urandom(PIECE_BYTES))
                try:
                    disk.publish(staged)
                finally:
                    staged.discard()
