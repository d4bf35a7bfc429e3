"""A Datastore of one's own, for the demo and for tests.

    python3 -m e2e.app.datastore

makes the environment that it runs in, unless it is there: what it needs would not go with ours.
"""

from __future__ import annotations

import hashlib
import signal
import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from e2e.app.databases import HOST, Database, NotInstalled
from e2e.cluster.places import cache

LOCK: Final = Path(__file__).resolve().parents[2] / "requirements" / "datastore.lock"
PROGRAM: Final = Path(__file__).with_name("datastore_server.py")


class DatastoreServer(Database):
    """The Datastore of the App Engine SDK; what it acknowledged survives its death."""

    scheme = "datastore"
    stop_signal = signal.SIGTERM

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def uri(self) -> str:
        return f"{self.scheme}://{self.address}"

    def make(self) -> None:
        if not _is_whole():
            raise NotInstalled(f"{environment()} is not here: `python3 -m e2e.app.datastore`")

    def command(self) -> Sequence[str]:
        return str(_python()), str(PROGRAM), str(self.port), str(self._folder)


def environment() -> Path:
    """Where it is, or would be if it was made: one for each lock file, whatever Python asks."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    return cache() / "datastore" / digest


def make_environment() -> None:
    """Make it, unless it is there.

    Raises:
        CalledProcessError: pip does not get what is pinned.
    """
    if _is_whole():
        return
    venv.create(environment(), clear=True, with_pip=True)
    command = (
        *(str(_python()), "-m", "pip", "install", "--quiet"),
        *("--disable-pip-version-check", "--require-hashes", "--requirement", str(LOCK)),
    )
    subprocess.run(command, check=True)  # noqa: S603 - made just now
    _mark().touch()


def _is_whole() -> bool:
    """Also whether the Python that made it is still there."""
    return _mark().exists() and _python().exists()


def _mark() -> Path:
    """Made last."""
    return environment() / ".ready"


def _python() -> Path:
    return environment() / "bin" / "python"


if __name__ == "__main__":
    make_environment()
