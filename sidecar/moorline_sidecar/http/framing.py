"""Answers as bytes: status lines, lengths and the closing of connections (RFC 9112 4, 6, 9)."""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus
from typing import Final

import msgspec

from moorline_sidecar.http.messages import Response

STATUS_LINES: Final = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode()) for status in HTTPStatus
}
BODILESS: Final = frozenset({100, 204, 304})
"""Statuses whose answers carry neither a body nor a length."""
CONTINUE: Final = Response(100)

# The `Connection` field of an answer: none where HTTP/1.1 stays open by itself.
STAY: Final = b""
STAY_1_0: Final = b"Connection: keep-alive\r\n"
CLOSE: Final = b"Connection: close\r\n"


def internal_error() -> Response:
    """The answer to a request whose handler raised. The table has no such problem."""
    members = {"type": "about:blank", "title": "Internal Server Error", "status": 500}
    fields = b"Content-Type: application/problem+json\r\nCache-Control: no-store\r\n"
    return Response(500, fields, msgspec.json.encode(members))


@lru_cache(maxsize=4096)
def length_and_end(size: int) -> bytes:
    """The last field of a head, and its end. Sizes repeat, and formatting takes its time."""
    return b"Content-Length: %d\r\n\r\n" % size
