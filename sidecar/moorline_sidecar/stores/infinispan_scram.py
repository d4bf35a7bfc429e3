"""Saying who we are: SCRAM (RFC 5802 and 7677), in which the password is never sent."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from typing import Final

MECHANISMS: Final = {
    "SCRAM-SHA-512": "sha512",
    "SCRAM-SHA-384": "sha384",
    "SCRAM-SHA-256": "sha256",
}
"""From the best on, with the hash of each."""

ITERATIONS_MAX: Final = 1_000_000
"""Of a server that wants us to do honest work."""

_NO_BINDING: Final = "n,,"


class NotWhoTheySay(Exception):
    """The server does not know the password itself, or does not follow the rules."""


class Scram:
    """One conversation of two questions."""

    def __init__(self, mechanism: str, user: str, password: str, nonce: str = "") -> None:
        """`nonce` is chosen by chance, but in tests."""
        self._hash = MECHANISMS[mechanism]
        self._password = password
        self._nonce = nonce or secrets.token_urlsafe(24)
        name = user.replace("=", "=3D").replace(",", "=2C")
        self._first = f"n={name},r={self._nonce}"
        self._proven = b""

    def first(self) -> bytes:
        return f"{_NO_BINDING}{self._first}".encode()

    def second(self, challenge: bytes) -> bytes:
        """What proves that we know the password.

        Raises:
            NotWhoTheySay: the challenge is none.
        """
        told = _parts(challenge)
        nonce, salt, iterations = (told.get(name, "") for name in "rsi")
        if not nonce.startswith(self._nonce) or not iterations.isdigit():
            raise NotWhoTheySay
        if not 0 < int(iterations) <= ITERATIONS_MAX:
            raise NotWhoTheySay
        salted = hashlib.pbkdf2_hmac(
            self._hash, self._password.encode(), _decoded(salt), int(iterations)
        )
        without_proof = f"c={b64encode(_NO_BINDING.encode()).decode()},r={nonce}"
        conversation = b",".join((self._first.encode(), challenge, without_proof.encode()))
        key = self._mac(salted, b"Client Key")
        signature = self._mac(hashlib.new(self._hash, key).digest(), conversation)
        proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
        self._proven = self._mac(self._mac(salted, b"Server Key"), conversation)
        return f"{without_proof},p={b64encode(proof).decode()}".encode()

    def check(self, answer: bytes) -> None:
        """Raises NotWhoTheySay: the server does not know the password."""
        told = _parts(answer).get("v", "")
        if not self._proven or not hmac.compare_digest(_decoded(told), self._proven):
            raise NotWhoTheySay

    def _mac(self, key: bytes, text: bytes) -> bytes:
        return hmac.digest(key, text, self._hash)


def _parts(message: bytes) -> dict[str, str]:
    parts = (part.partition("=") for part in message.decode(errors="replace").split(","))
    return {name: value for name, _, value in parts}


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError as error:
        raise NotWhoTheySay from error
