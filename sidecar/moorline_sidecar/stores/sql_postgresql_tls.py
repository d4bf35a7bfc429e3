"""TLS with PostgreSQL, where the driver falls short of what libpq's options mean."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any, Final

from moorline_sidecar.stores.tls_files import Files, check_files, files_of, options_of, read_for
from moorline_sidecar.stores.uri_source import UriMissing

_FULL: Final = "verify-full"
_VERIFYING: Final = ("verify-ca", _FULL)
_SYSTEM: Final = "system"
_FILES: Final = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_PROTOCOL: Final = "postgresql"
"""By which ALPN knows it (IANA)."""


class Tls:
    """What the driver needs beside a URI, for all its connections.

    The system's authorities take 40 ms to read, in which nobody is served: that is done again only
    when a file that the URI names has changed.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._files: Files | None = None
        self._arguments: dict[str, Any] = {}

    def arguments(self) -> Mapping[str, Any]:
        """Of `asyncpg.connect`.

        Raises:
            As `tls_of`.
        """
        files = files_of(self._uri)
        if files != self._files:
            self._arguments = tls_of(self._uri)
            self._files = files
        return self._arguments


def tls_of(uri: str) -> dict[str, Any]:
    """What the driver needs beside the URI; nothing, where that names the authorities' file.

    asyncpg knows them from a file alone, which is ~/.postgresql/root.crt if the URI names none,
    and not libpq's `sslrootcert=system`: in both cases they are the system's here.

    Raises:
        UriMissing: a file that is named cannot be used, or the options contradict each other.
        ValueError: the driver would refuse the URI as well.
    """
    options = dict(options_of(uri))
    authorities = options.get("sslrootcert", "")
    mode = options.get("sslmode", "").replace("_", "-")
    if authorities == _SYSTEM and mode not in ("", _FULL):
        weak = f"the connection URI cannot be used: sslrootcert=system takes sslmode={_FULL}"
        raise UriMissing("TLSFailed", weak)
    if authorities == _SYSTEM or (mode in _VERIFYING and not authorities):
        return {"ssl": _context(options, has_names=mode != "verify-ca")}
    return {}


def check_tls_files(uri: str) -> None:
    """Whether the files that the URI names can be read.

    Raises:
        UriMissing: one cannot.
    """
    options = dict(options_of(uri))
    files = {name: options[name] for name in _FILES if options.get(name)}
    check_files({name: path for name, path in files.items() if path != _SYSTEM})


def _context(options: Mapping[str, str], *, has_names: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = has_names
    context.set_alpn_protocols([_PROTOCOL])
    if "sslcert" in options:
        with read_for("sslcert", "sslkey"):
            context.load_cert_chain(
                options["sslcert"], options.get("sslkey"), options.get("sslpassword", "")
            )
    if "sslcrl" in options:
        with read_for("sslcrl"):
            context.load_verify_locations(cafile=options["sslcrl"])
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    if "ssl_min_protocol_version" in options:
        context.minimum_version = _version(options["ssl_min_protocol_version"])
    if "ssl_max_protocol_version" in options:
        context.maximum_version = _version(options["ssl_max_protocol_version"])
    return context


def _version(name: str) -> ssl.TLSVersion:
    try:
        return ssl.TLSVersion[name.replace(".", "_")]
    except KeyError:
        raise ValueError(name) from None
