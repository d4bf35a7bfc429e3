"""Secrets, given as text or by the file that holds them; read when needed, never shown."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
from msgspec import Struct

log = structlog.get_logger(__name__)


class SecretText(Struct, frozen=True):
    """A secret that the environment holds."""

    text: str

    def __repr__(self) -> str:
        return "SecretText(...)"


class SecretFile(Struct, frozen=True):
    """A file, or the folder of a mounted Secret in which the first of `keys` that exists counts.

    It may change at any time, and be missing until somebody makes the Secret. `secret` is the name
    of that Secret, empty where nothing says so.
    """

    path: str
    keys: tuple[str, ...]
    secret: str = ""

    def read(self) -> bytes:
        """What it holds now, without white space around it.

        Raises:
            OSError: there is nothing to read; the text names the path, never the content.
        """
        path = Path(self.path)
        if path.is_dir():
            names = [key for key in self.keys if (path / key).is_file()]
            if not names:
                raise FileNotFoundError(f"{path} holds none of the keys {', '.join(self.keys)}")
            path /= names[0]
        return path.read_bytes().strip()


class Token:
    """The current bearer token of a file, looked at again once in a while."""

    CHECK_SECONDS: Final = 5.0
    """A mounted Secret takes a minute to follow its object anyway."""

    def __init__(self, file: SecretFile, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._clock = clock
        self._check_at = clock() + self.CHECK_SECONDS
        self._warned: str | None = None
        self._token = self._read()

    def __call__(self) -> bytes:
        """The token; empty while the file cannot be read, which lets nobody in."""
        now = self._clock()
        if now >= self._check_at:
            self._check_at = now + self.CHECK_SECONDS
            self._token = self._read()
        return self._token

    def _read(self) -> bytes:
        try:
            token = self._file.read()
        except OSError as error:
            self._warn(str(error))
            return b""
        self._warn(None if token else "it is empty")
        return token

    def _warn(self, why: str | None) -> None:
        """Say once that nobody is let in, and why."""
        if why is not None and why != self._warned:
            log.warning("the token file cannot be used; nobody is let in", why=why)
        self._warned = why
