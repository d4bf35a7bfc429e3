"""Where a connection URI comes from: a text, or a file that may appear and change at any time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from moorline_sidecar.config.secrets import SecretFile, SecretText
from moorline_sidecar.errors import StoreUnavailable

CHECK_SECONDS: Final = 1.0
"""A store that is away is asked more often than a file needs to be looked at."""


class UriMissing(StoreUnavailable):
    """There is no URI (yet); `reason` is that of the condition BackendReady."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(detail)


class UriSource:
    """The URI as it is now, looked at again at most once a second; `clock` is monotonic.

    `member` is that of `spec.backend` which may name a Secret.
    """

    def __init__(
        self,
        secret: SecretText | SecretFile,
        clock: Callable[[], float] = time.monotonic,
        *,
        member: str = "mongodb",
    ) -> None:
        self._secret = secret
        self._member = member
        self._clock = clock
        self._check_at = clock()
        self._known: str | UriMissing | None = None

    def read(self) -> str:
        """The URI.

        Raises:
            UriMissing: the file or the key in the folder is not there, or is empty.
        """
        now = self._clock()
        if self._known is None or now >= self._check_at:
            self._check_at = now + CHECK_SECONDS
            self._known = self._look()
        if isinstance(self._known, UriMissing):
            raise UriMissing(self._known.reason, self._known.detail)
        return self._known

    def _look(self) -> str | UriMissing:
        if isinstance(self._secret, SecretText):
            return self._secret.text
        try:
            uri = self._secret.read().decode()
        except (OSError, UnicodeDecodeError):
            uri = ""
        return uri or _missing(self._secret, self._member)


def _missing(secret: SecretFile, member: str) -> UriMissing:
    path, keys = Path(secret.path), ", ".join(secret.keys)
    field = f"spec.backend.{member}.connectionSecretRef"
    whose = f"the Secret {secret.secret} of {field}, mounted at "
    where = f"{whose if secret.secret else ''}{path}"
    if path.is_dir() and any(not entry.name.startswith(".") for entry in path.iterdir()):
        return UriMissing("SecretKeyMissing", f"{where} holds no connection URI in {keys}")
    if path.is_file():
        return UriMissing("SecretKeyMissing", f"{where} holds no connection URI")
    # An optional volume of a Secret that does not exist is an empty folder.
    if secret.secret:
        return UriMissing("SecretNotFound", f"{where}, is not there; its keys may be {keys}")
    return UriMissing("SecretNotFound", f"there is no connection URI at {path}")
