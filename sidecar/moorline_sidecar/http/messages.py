"""A parsed request and a response ready to be framed: all that api.py knows of HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeAlias

from msgspec import Struct


class Request(Struct, gc=False):
    """One request, its body complete.

    `method` is upper-case ASCII; `path` and `query` are raw, still percent-encoded; names in
    `headers` are lower-case, values stripped, repeated fields joined by `, ` (`cookie` by `; `).
    """

    method: bytes
    path: bytes
    query: bytes
    headers: Mapping[bytes, bytes]
    body: bytes = b""


class Response(Struct, gc=False):
    """`fields` are complete header lines, each with its CRLF, without framing and connection.

    The protocol adds the status line, `Content-Length` (never for 204 and 304) and, where the
    connection closes, `Connection: close`; it leaves the body out for HEAD, 204 and 304.
    """

    status: int
    fields: bytes = b""
    body: bytes = b""


Quick: TypeAlias = Callable[[bytes], bytes | None]
"""Given all that came on a connection that waits for a request: the framed answer, a 200 that
leaves the connection open; None if it has to be parsed to tell."""


def never(_data: bytes) -> bytes | None:
    """The `Quick` of those who know nothing by its bytes."""
    return None


class Application(Protocol):
    """What the data plane serves."""

    def screen(self, head: Request) -> Response | None:
        """The refusal of a request by its head alone, before its body is read; None to go on."""

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        """The answer; at once where nothing has to be awaited. Screens by itself, never raises."""
