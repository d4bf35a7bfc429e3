"""Session ids, the keys they are stored under, handles to show, and hints.

An id never holds a dot, so that what follows the last one can name a worker (Jetty
`DefaultSessionIdManager.getExtendedId`).
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
import secrets
from typing import Final

from msgspec import Struct

ID_BYTES: Final = 24
"""192 random bits: 32 characters without padding; OWASP asks for 64 bits of entropy."""

_ID: Final = re.compile(r"[A-Za-z0-9_-]{20,128}\Z")
_WORKER: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_HINT: Final = re.compile(r"([0-9]{1,18})\.([A-Za-z0-9_-]{1,64})\Z")

HINT_CHARACTERS_MAX: Final = 18 + 1 + 64

HANDLE_CHARACTERS: Final = 16

REMEMBERED: Final = 1_024
"""Keys and hints that are computed once, of sessions in use just now: a quarter of a megabyte."""


def new_id() -> str:
    """A fresh id from the operating system's random numbers."""
    return secrets.token_urlsafe(ID_BYTES)


def derived_id(origin: str, idempotency_key: str) -> str:
    """The id that a renew of `origin` gets when it is repeated under this key, on any worker.

    As hard to guess as the idempotency key, which http-api.md demands to be unguessable, and the
    old id together.
    """
    digest = hashlib.sha256(f"renew\0{origin}\0{idempotency_key}".encode()).digest()
    return _text(digest[:ID_BYTES])


def is_id(text: str) -> bool:
    """Whether `text`, without a worker, is of the alphabet and length of an id."""
    return _ID.match(text) is not None


def is_worker(text: str) -> bool:
    """Whether `text` can be a worker's name in a hint and in a cookie."""
    return _WORKER.match(text) is not None


def split_worker(text: str) -> tuple[str, str | None]:
    """The id and the worker of `<id>.<worker>`; the worker is None without a dot."""
    head, dot, tail = text.rpartition(".")
    return (head, tail) if dot else (text, None)


@functools.lru_cache(maxsize=REMEMBERED)
def hashed_key(session_id: str) -> str:
    """The key of `storeIds: Hashed`: SHA-256, url-safe base64, 43 characters."""
    return _text(hashlib.sha256(session_id.encode()).digest())


def plain_key(session_id: str) -> str:
    """The key of `storeIds: Plain`: the id."""
    return session_id


def handle_of(key: str) -> str:
    """What a person is shown of a session in place of its id or key."""
    return _text(hashlib.sha256(b"handle" + key.encode()).digest())[:HANDLE_CHARACTERS]


class Hint(Struct, frozen=True):
    """What a client has seen of a session: this version (0: any), served by this worker."""

    version: int
    worker: str

    def __str__(self) -> str:
        return f"{self.version}.{self.worker}"


def parse_hint(text: str) -> Hint | None:
    """The hint that `text` presents; None for a malformed one, which counts as none."""
    return _parsed_hint(text) if len(text) <= HINT_CHARACTERS_MAX else None


@functools.lru_cache(maxsize=REMEMBERED)
def _parsed_hint(text: str) -> Hint | None:
    match = _HINT.match(text)
    return Hint(int(match[1]), match[2]) if match else None


def _text(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
