"""Answers out: collected while there is more to answer, then written at once."""

from __future__ import annotations

import asyncio
from typing import Final

from moorline_sidecar.http.framing import BODILESS, STATUS_LINES, length_and_end
from moorline_sidecar.http.limits import Traffic
from moorline_sidecar.http.messages import Response

WRITE_BYTES: Final = 64 * 1024
"""Collected up to this; at as much that is unsent, the transport asks for a pause."""


class Outbox:
    """The writing half of a connection; `transport` is set when there is one."""

    transport: asyncio.WriteTransport

    def __init__(self, traffic: Traffic) -> None:
        self._pieces: list[bytes] = []
        self._bytes = 0
        self._traffic = traffic

    def answer(self, answer: Response, method: bytes, connection: bytes) -> None:
        """Add the answer to a request of `method`, with its `Connection` field."""
        status = answer.status
        body = answer.body
        self._traffic.others[status // 100] += 1
        if status in BODILESS:
            self._pieces += (STATUS_LINES[status], answer.fields, connection, b"\r\n")
            return
        length = length_and_end(len(body))
        if method == b"HEAD":
            body = b""
        self._pieces += (STATUS_LINES[status], answer.fields, connection, length, body)
        self._bytes += len(body)
        if self._bytes > WRITE_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is there, if anything. The transport may ask for a pause meanwhile."""
        if not self._pieces:
            return
        raw = b"".join(self._pieces)
        self._pieces.clear()
        self._bytes = 0
        self._traffic.flow.sent += len(raw)
        self.transport.write(raw)
