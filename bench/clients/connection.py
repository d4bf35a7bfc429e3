"""One keep-alive connection to a server under load, and a look at every answer."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Final

from bench.shots import Shot

HOST: Final = "127.0.0.1"

CHUNK: Final = 1 << 18
DEADLINE_SECONDS: Final = 20.0


class WrongAnswer(Exception):
    """An answer is not what it has to be; measuring is pointless."""


class Connection:
    """Sends one request at a time.

    `address` is a port of this machine, the path of a socket, or what `tls_address` makes.
    """

    def __init__(self, address: str, status: int) -> None:
        if address.startswith(_TLS):
            self.socket: socket.socket = secured(address)
        elif address.isdigit():
            self.socket = _to_port(int(address))
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(DEADLINE_SECONDS)
            self.socket.connect(address)
        self._status = b"HTTP/1.1 %d " % status
        self._received = b""
        self._shot: Shot | None = None

    def fileno(self) -> int:
        return self.socket.fileno()

    @property
    def is_busy(self) -> bool:
        return self._shot is not None

    def send(self, shot: Shot, request: bytes) -> None:
        self._shot = shot
        self.socket.sendall(request)

    def receive(self) -> bool:
        """Take what has come; whether the answer is there, whole and right.

        Raises:
            WrongAnswer: it is there and wrong.
        """
        chunk = self._chunk()
        if chunk is None:
            return False
        self._received = self._received + chunk if self._received else chunk
        end = self._received.find(b"\r\n\r\n")
        if not chunk or self._shot is None:
            raise WrongAnswer(f"the connection was closed after {self._received[:300]!r}")
        if end < 0:
            return False
        head, body = self._received[:end], self._received[end + 4 :]
        if len(body) < _content_length(head):
            return False
        if not head.startswith(self._status) or not self._shot.is_answered_by(body):
            raise WrongAnswer(repr(self._received[:600]))
        self._received = b""
        self._shot = None
        return True

    def _chunk(self) -> bytes | None:
        """What has come; None if that was TLS's own, as the tickets after a handshake are."""
        if not isinstance(self.socket, ssl.SSLSocket):
            return self.socket.recv(CHUNK)
        self.socket.settimeout(0)
        try:
            chunk = self.socket.recv(CHUNK)
            # What is decrypted already makes no socket readable.
            while self.socket.pending():
                chunk += self.socket.recv(CHUNK)
        except ssl.SSLWantReadError:
            return None
        finally:
            self.socket.settimeout(DEADLINE_SECONDS)
        return chunk


_TLS: Final = "tls:"
_BETWEEN: Final = "|"


def tls_address(port: int, name: str, authority: Path) -> str:
    """An address behind TLS; the file has the certificates that one for `name` is verified by."""
    return _TLS + _BETWEEN.join((str(port), name, str(authority)))


def secured(address: str) -> ssl.SSLSocket:
    """Connected to what `tls_address` made."""
    port, name, authority = address.removeprefix(_TLS).split(_BETWEEN)
    context = ssl.create_default_context(cafile=authority)
    # Python 3.13 wants extensions that the authority of a cluster does not have to have.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context.wrap_socket(_to_port(int(port)), server_hostname=name)


def _to_port(port: int) -> socket.socket:
    connected = socket.create_connection((HOST, port), DEADLINE_SECONDS)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connected


def _content_length(head: bytes) -> int:
    """Of a 204, which has none, 0."""
    name = b"\r\ncontent-length:"
    at = head.lower().find(name)
    if at < 0:
        return 0
    return int(head[at + len(name) :].split(b"\r\n", 1)[0])
