"""Answers out: collected while there is more to answer, then written at once."""

from __future__ import annotations

import asyncio
from typing import Final

from moorline_sidecar.http.framing import framed
from moorline_sidecar.http.limits import Traffic
from moorline_sidecar.http.messages import Response

WRITE_BYTES: Final = 64 * 1024
"""Collected up to this; at as much that is unsent, the transport asks for a pause."""


class Outbox:
    """The writing half of a connection; `transport` is set when there is one."""

    transport: asyncio.WriteTransport

    def __init__(self, traffic: Traffic) -> None:
        self.pieces: list[bytes] = []
        self._bytes = 0
        self._traffic = traffic

    def answer(self, answer: Response, method: bytes, connection: bytes) -> None:
        """Add the answer to a request of `method`, with its `Connection` field."""
        self._traffic.answers[answer.status // 100] += 1
        self.pieces += framed(answer, method, connection)
        self._bytes += len(answer.body)
        if self._bytes > WRITE_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is there. The transport may ask for a pause meanwhile."""
        raw = b"".join(self.pieces)
        self.pieces.clear()
        self._bytes = 0
        self._traffic.bytes_sent += len(raw)
        self.transport.write(raw)
