"""What a connection URI says: where the servers are, and who we are to them."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from msgspec import Struct

from moorline_sidecar.errors import ConfigurationError

PORT: Final = 11_222

_SCHEMES: Final = {"hotrod": False, "hotrods": True}
"""Whether they mean TLS; the names are those of Infinispan's own clients."""

_TLS_FILES: Final = ("ca_file", "cert_file", "key_file")
_EXPECTED: Final = (
    "expected is hotrod://user:password@host:11222, or hotrods://… with TLS, with further servers "
    "behind commas and reserved characters of user and password percent-encoded"
)


class Address(Struct, frozen=True):
    """A host and its port."""

    host: str
    port: int


class Target(Struct, frozen=True, kw_only=True):
    """The servers of one cluster; without a user there is no authentication."""

    addresses: tuple[Address, ...]
    user: str = ""
    password: str = ""
    tls: ssl.SSLContext | None = None


def target_of(uri: str) -> Target:
    """Raises ConfigurationError if the URI is of no use; the text holds no piece of it."""
    try:
        return _target(uri)
    except ValueError as error:
        # Its text may quote a password that was not percent-encoded.
        raise ConfigurationError([f"the connection URI cannot be used: {_EXPECTED}"]) from error


def _target(uri: str) -> Target:
    parts = urlsplit(uri)
    options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    has_tls = _SCHEMES.get(parts.scheme)
    if has_tls is None or parts.path.strip("/") or not set(options) <= set(_TLS_FILES):
        raise ValueError
    if options and not has_tls:
        raise ValueError
    user_information, _, hosts = parts.netloc.rpartition("@")
    user, _, password = user_information.partition(":")
    return Target(
        addresses=tuple(_address(host) for host in hosts.split(",")),
        user=unquote(user),
        password=unquote(password),
        tls=_tls(options) if has_tls else None,
    )


def _address(host: str) -> Address:
    parts = urlsplit(f"//{host}")
    if not parts.hostname:
        raise ValueError
    return Address(unquote(parts.hostname), parts.port or PORT)


def _tls(options: dict[str, str]) -> ssl.SSLContext:
    for name, path in options.items():
        if not Path(path).is_file():
            raise ConfigurationError([f"the connection URI's option {name} names no file"])
    try:
        context = ssl.create_default_context(cafile=options.get("ca_file"))
        if "cert_file" in options:
            context.load_cert_chain(options["cert_file"], options.get("key_file"))
    except ssl.SSLError as error:
        raise ConfigurationError(["a file of the connection URI is no PEM file"]) from error
    return context
