"""How it is with a store, in a word of the condition `BackendReady`."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Struct

READY: Final = "Ready"

NO_TLS: Final = "the server speaks no TLS, or its certificate is not for this name or not trusted"


class Diagnosis(Struct, frozen=True, kw_only=True):
    """`reason` is `Ready`, or what is wrong; `detail` is a sentence that a person can act on."""

    reason: str
    detail: str
    server: str = ""
    indexes: tuple[str, ...] = ()

    @property
    def is_ready(self) -> bool:
        return self.reason == READY


def first_told(
    errors: Iterable[BaseException], told_by: Callable[[BaseException], Diagnosis | None]
) -> Diagnosis | None:
    """What the first of the errors tells that tells anything."""
    found = (told_by(error) for error in errors)
    return next((diagnosis for diagnosis in found if diagnosis is not None), None)


def told_by_network(error: BaseException) -> tuple[str, str] | None:
    """Reason and sentence of an error that any server could cause."""
    if isinstance(error, socket.gaierror):
        return "NameNotResolved", "a host of the connection URI is not in the DNS"
    if isinstance(error, ssl.SSLError):
        return "TLSFailed", NO_TLS
    return None
