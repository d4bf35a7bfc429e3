"""One keep-alive connection to a server under load, and a look at every answer."""

from __future__ import annotations

import socket
from typing import Final

from bench.shots import Shot

CHUNK: Final = 1 << 18
DEADLINE_SECONDS: Final = 20.0


class WrongAnswer(Exception):
    """An answer is not what it has to be; measuring is pointless."""


class Connection:
    """Sends one request at a time. `address` is a port of this machine, or the path of a socket."""

    def __init__(self, address: str, status: int) -> None:
        if address.isdigit():
            self.socket = socket.create_connection(("127.0.0.1", int(address)), DEADLINE_SECONDS)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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
        chunk = self.socket.recv(CHUNK)
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


def _content_length(head: bytes) -> int:
    """Of a 204, which has none, 0."""
    name = b"\r\ncontent-length:"
    at = head.lower().find(name)
    if at < 0:
        return 0
    return int(head[at + len(name) :].split(b"\r\n", 1)[0])
