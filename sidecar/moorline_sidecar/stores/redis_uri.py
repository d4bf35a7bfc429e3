"""What a connection URI says: where the primary is, or who knows it."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from msgspec import Struct

from moorline_sidecar.errors import ConfigurationError
from moorline_sidecar.stores.tls_files import check_files

PORT: Final = 6_379
SENTINEL_PORT: Final = 26_379

_SCHEMES: Final = {"redis": False, "rediss": True, "valkey": False, "valkeys": True}
"""Whether they mean TLS."""

_SENTINEL: Final = "+sentinel"
_TLS_OPTIONS: Final = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
_SENTINEL_OPTIONS: Final = frozenset({"sentinel_username", "sentinel_password"})
_EXPECTED: Final = (
    "expected is redis://user:password@host:6379/0, rediss://… with TLS, or "
    "redis+sentinel://user:password@host:26379,host:26379/name/0, with reserved characters of "
    "user and password percent-encoded"
)


class Address(Struct, frozen=True):
    """A host and its port."""

    host: str
    port: int


class Target(Struct, frozen=True, kw_only=True):
    """`addresses` is the primary's, or with a `service` those of Sentinels that know it."""

    addresses: tuple[Address, ...]
    service: str = ""
    database: int = 0
    login: Mapping[str, str]
    sentinel_login: Mapping[str, str]
    tls: Mapping[str, Any] | None = None


def target_of(uri: str) -> Target:
    """What it says.

    Raises:
        ConfigurationError: it is of no use; the text holds no piece of it.
        UriMissing: a file that it names cannot be read.
    """
    try:
        return _target(urlsplit(uri))
    except ValueError as error:
        # Its text may quote a password that was not percent-encoded.
        raise ConfigurationError([f"the connection URI cannot be used: {_EXPECTED}"]) from error


def _target(parts: SplitResult) -> Target:
    scheme = parts.scheme.removesuffix(_SENTINEL)
    has_sentinel = scheme != parts.scheme
    if scheme not in _SCHEMES:
        raise ValueError
    has_tls = _SCHEMES[scheme]
    options = _options(parts.query, has_tls=has_tls, has_sentinel=has_sentinel)
    user_information, _, hosts = parts.netloc.rpartition("@")
    port = SENTINEL_PORT if has_sentinel else PORT
    addresses = tuple(_address(host, port) for host in hosts.split(","))
    path = [unquote(step) for step in parts.path.split("/") if step]
    service = path.pop(0) if has_sentinel and path else ""
    if (has_sentinel and not service) or (len(addresses) > 1 and not has_sentinel):
        raise ValueError
    if len(path) > 1:
        raise ValueError
    return Target(
        addresses=addresses,
        service=service,
        database=int(path[0]) if path else 0,
        login=_login(user_information),
        sentinel_login={
            name.removeprefix("sentinel_"): value
            for name, value in options.items()
            if name in _SENTINEL_OPTIONS
        },
        tls=_tls(options) if has_tls else None,
    )


def _options(query: str, *, has_tls: bool, has_sentinel: bool) -> dict[str, str]:
    known = _TLS_OPTIONS if has_tls else frozenset()
    known |= _SENTINEL_OPTIONS if has_sentinel else frozenset()
    options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    for name in options:
        if name not in known:
            names = ", ".join(sorted(known)) or "none"
            mistake = f"the connection URI has an option that is not known; there are: {names}"
            raise ConfigurationError([mistake])
    check_files({name: options[name] for name in sorted(_TLS_OPTIONS & options.keys())})
    return options


def _address(host: str, port: int) -> Address:
    parts = urlsplit(f"//{host}")
    if not parts.hostname:
        raise ValueError
    return Address(unquote(parts.hostname), parts.port or port)


def _login(user_information: str) -> dict[str, str]:
    user, _, password = user_information.partition(":")
    login = {"username": unquote(user), "password": unquote(password)}
    return {name: value for name, value in login.items() if value}


def _tls(options: Mapping[str, str]) -> dict[str, Any]:
    files = {name: value for name, value in options.items() if name in _TLS_OPTIONS}
    return {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True, **files}
