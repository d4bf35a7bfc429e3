"""Sockets to listen on: TCP, and the unix socket that containers share."""

from __future__ import annotations

import errno
import resource
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

BACKLOG: Final = 1024
"""Connections that wait to be accepted; the kernel takes less where `somaxconn` says so."""

SOCKET_MODE: Final = 0o666
"""Containers of a pod run as different users, and the mount is the permission."""

SPARE_DESCRIPTORS: Final = 256
"""For the store, the other listeners, files and pipes."""


class UnixSocket:
    """A socket bound at `path`, replacing what a dead process left there.

    Raises:
        OSError: `EADDRINUSE` if somebody listens there, or it is no socket; whatever else binding
            may say.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        if _is_abandoned(path):
            path.unlink(missing_ok=True)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.listener.bind(str(path))
            path.chmod(SOCKET_MODE)
            self._inode = path.stat().st_ino
        except OSError:
            self.listener.close()
            raise

    def remove(self) -> None:
        """Close it and remove the file, unless a successor has put its own there."""
        self.listener.close()
        with suppress(FileNotFoundError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()


def allow_descriptors(connections: int) -> None:
    """Raise the soft limit on open files as far as so many connections need, and as it may be.

    Many systems start with 1,024. Twice as many as are served: the refused get an answer, too.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * connections + SPARE_DESCRIPTORS
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _is_abandoned(path: Path) -> bool:
    """Whether there is a socket at `path` that nobody listens on."""
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            return False
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0)
        return probe.connect_ex(str(path)) == errno.ECONNREFUSED
