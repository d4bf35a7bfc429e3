"""What the environment says: the worker's name, its secrets, the time it has to stop."""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Mapping
from typing import Final

from moorline_sidecar.config.secrets import SecretFile, SecretText
from moorline_sidecar.domain.ids import is_worker

SHUTDOWN_SECONDS: Final = 10.0
_SHUTDOWN_SECONDS_MAX: Final = 86_400.0
_NOT_SAFE: Final = re.compile(r"[^A-Za-z0-9]+")
_RANDOM_CHARACTERS: Final = 4
_HOST_CHARACTERS: Final = 32


def worker_of(
    environ: Mapping[str, str], hostname: str, mistakes: list[str], *, is_required: bool
) -> str:
    """This worker's name: given in Kubernetes, made up elsewhere, different at every start.

    It `is_required` in Kubernetes of processes that serve.
    """
    given = environ.get("MOORLINE_WORKER", "")
    if given:
        if not is_worker(given):
            mistakes.append(
                f"MOORLINE_WORKER: {given!r} is no worker's name; "
                "use 1 to 64 letters, digits, - and _"
            )
        return given
    if is_required and environ.get("KUBERNETES_SERVICE_HOST"):
        mistakes.append(
            "MOORLINE_WORKER: required in Kubernetes; take it from the pod's label "
            "moorline.io/worker by the downward API"
        )
    safe = _NOT_SAFE.sub("", hostname)[:_HOST_CHARACTERS] or "worker"
    alphabet = string.ascii_lowercase + string.digits
    return safe + "".join(secrets.choice(alphabet) for _ in range(_RANDOM_CHARACTERS))


def uri_of(
    environ: Mapping[str, str], keys: tuple[str, ...], secret: str, mistakes: list[str]
) -> SecretText | SecretFile | None:
    """Where the backend's URI comes from; None if the environment does not say.

    `secret` is the name of the Secret that a file is mounted from, empty if there is none.
    """
    text = environ.get("MOORLINE_BACKEND_URI", "")
    path = environ.get("MOORLINE_BACKEND_URI_FILE", "")
    if text and path:
        mistakes.append("MOORLINE_BACKEND_URI: give it or MOORLINE_BACKEND_URI_FILE, not both")
    if text:
        return SecretText(text)
    return SecretFile(path, keys, secret) if path else None


def shutdown_seconds_of(environ: Mapping[str, str], mistakes: list[str]) -> float:
    """How long SIGTERM may take, all in all."""
    text = environ.get("MOORLINE_SHUTDOWN_SECONDS", "")
    if not text:
        return SHUTDOWN_SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= _SHUTDOWN_SECONDS_MAX:
        mistakes.append(
            f"MOORLINE_SHUTDOWN_SECONDS: {text!r} is no number of seconds above 0, at most a day"
        )
        return SHUTDOWN_SECONDS
    return seconds
