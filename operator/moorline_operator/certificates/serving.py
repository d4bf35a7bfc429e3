"""What a replica serves with, exchanged while it serves, and the proof that it is trusted."""

import asyncio
import os
import ssl
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import structlog

from moorline_operator.certificates.material import certificates_in, read_material

_log = structlog.get_logger()

HANDSHAKE_SECONDS: Final = 2.0


class ServingCertificate:
    """A TLS context whose certificate follows a Secret; open connections are left alone."""

    def __init__(self) -> None:
        self._texts = ("", "")
        self._current: ssl.SSLContext | None = None
        self.ends: datetime | None = None
        """When the certificate ends; None while there is none."""
        self.context = _server_context()
        """The context to listen with. It refuses handshakes while there is no certificate."""
        # A certificate that is loaded into a live context does not replace one with a key of
        # another algorithm, and a wrong one leaves the context without any.
        self.context.sni_callback = self._choose

    def update(self, secret: Mapping[str, object]) -> None:
        """Serve with what is in the Secret from now on; what cannot be used changes nothing."""
        material = read_material(secret)
        texts = (material.leaf, material.leaf_key)
        if texts == self._texts or not all(texts):
            return
        found = certificates_in(material.leaf)
        try:
            context = _loaded(*texts)
        except (ssl.SSLError, ValueError, OSError) as error:
            _log.error("cannot use the certificate in the Secret", reason=str(error))
            return
        if not found:
            _log.error("cannot read the certificate in the Secret")
            return
        self._texts, self._current = texts, context
        self.ends = found[0].not_valid_after_utc
        _log.info("serving with another certificate", ends=self.ends.isoformat())

    def _choose(
        self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext
    ) -> int | None:
        if self._current is None:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        connection.context = self._current
        return None


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _loaded(certificate: str, key: str) -> ssl.SSLContext:
    """A context with the certificate.

    OpenSSL reads files only. This one is in memory: the key never is on a disk, and the
    container's file system may be read-only.
    """
    context = _server_context()
    with os.fdopen(os.memfd_create("certificate"), "wb") as file:
        file.write(f"{key}\n{certificate}".encode())
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{file.fileno()}", password=_no_password)
    return context


def _no_password() -> str:
    raise ValueError("the key is encrypted")


async def handshake_fault(
    bundle: str, server_name: str, port: int, host: str = "127.0.0.1"
) -> str | None:
    """Why the API server, trusting only the bundle, cannot talk to our listener; None if it can."""
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=bundle)
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            _, writer = await asyncio.open_connection(
                host, port, ssl=context, server_hostname=server_name
            )
    except (OSError, ValueError, TypeError) as error:  # TypeError: the bundle is not ASCII
        return str(error) or type(error).__name__
    writer.transport.abort()
    return None
