"""Bytes in, requests out: llhttp, and the bounds that it does not know. No I/O and no clock.

The parser cannot be stopped within the bytes that it is given, nor does it count them. So it gets
them in slices, and what goes on past the end of a slice is measured there. That leaves nothing to
count for a request that came in one piece, which nearly all do.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, Protocol

import httptools

from moorline_sidecar.http.framing import CLOSE, STAY
from moorline_sidecar.http.heads import (
    announced_length,
    bad_target,
    body_too_large,
    connection_field,
    head_too_large,
    is_ignorable_upgrade,
    malformed,
    repeated,
)
from moorline_sidecar.http.limits import Limits
from moorline_sidecar.http.messages import Request

SLICE_BYTES: Final = 16 * 1024
"""Also bounds how many requests one slice can hold: a request has 18 bytes or more."""

FRAMING_PER_BYTE: Final = 16
"""Granted for each byte of a body: a chunk of one byte has 5 bytes around it, or more."""


class Phase(Enum):
    """How far the request that is being read has come."""

    IDLE = "between two requests"
    HEAD = "its first byte has come, its empty line has not"
    BODY = "its head is complete, its body is not"
    REPLAY = "its head is to be read once more, without the upgrade it offers"


# As numbers they are found in bytes several times faster.
SLASH: Final = ord("/")
HASH: Final = ord("#")

# A class attribute costs a second look-up, and these are looked up for every request.
IDLE, HEAD, BODY, REPLAY = Phase


class Sink(Protocol):
    """Where requests go. What it raises ends the reading and comes out of `feed`."""

    def screen(self, head: Request, *, expects_continue: bool) -> None:
        """The head of a request with a body, before the body; `Refused` if it is not wanted."""

    def accept(self, request: Request, connection: bytes) -> None:
        """A complete request, and the `Connection` field for its answer."""


class RequestReader:
    """The reading half of a connection. `close` it, for it is part of a reference cycle."""

    def __init__(self, limits: Limits, sink: Sink) -> None:
        self.phase = IDLE
        self.serial = 0
        """Counts requests, so that two looks at it tell whether it is still the same one."""
        self.limits = limits
        self._screen = sink.screen
        self._accept = sink.accept
        self._is_last = False
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._repeated = 0
        self._is_doubtful = False  # whether the size of a head has to be looked at
        self._body = bytearray()
        self._request = Request(b"", b"", b"", self._headers)
        self._connection = STAY
        self._spanned = 0
        self._spanned_phase = IDLE
        self._head_bytes = 0
        self._framing_bytes = 0
        self._measured_body_bytes = 0
        self._parser = httptools.HttpRequestParser(self)

    def feed(self, data: bytes | memoryview) -> None:
        """Read on, in a slice of at most `slice_bytes(limits)`.

        Raises:
            Refused: The client is to get this answer, and nothing more.
        """
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            raise _reason(error) from None
        else:
            if self.phase is not IDLE:
                self._measure(len(data))
            return
        self._replay()
        self.feed(rest)

    def announce_last(self) -> None:
        """The request being read, or the next, is the last: its answer closes the connection."""
        self._is_last = True
        self._connection = CLOSE

    def close(self) -> None:
        """Let go of parser and sink, which know the reader in turn."""
        del self._parser, self._screen, self._accept

    # What httptools calls, in this order.

    def on_message_begin(self) -> None:
        self.phase = HEAD
        self.serial += 1
        self._url = b""
        self._headers = {}

    def on_url(self, piece: bytes) -> None:
        self._url += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        headers = self._headers
        if name in headers:
            self._repeated += 1
            self._is_doubtful = True
            headers[name] = repeated(name, headers[name], value.rstrip())
        else:
            headers[name] = value.rstrip()

    def on_headers_complete(self) -> None:
        headers = self._headers
        if self._is_doubtful or len(headers) > self.limits.head_fields:
            self._check_head()
            self._repeated = 0
            self._is_doubtful = False
        url = self._url
        parser = self._parser
        method = parser.get_method()
        if url[0] != SLASH or HASH in url or method == b"CONNECT":
            raise bad_target()
        path, _, query = url.partition(b"?")
        stays = parser.should_keep_alive()
        if stays and not self._is_last and b"host" in headers and b"connection" not in headers:
            self._connection = STAY
        else:
            self._settle_connection(stays=stays)
        self._request = Request(method, path, query, headers)
        if b"content-length" in headers or b"transfer-encoding" in headers:
            self._expect_body()

    def on_body(self, piece: bytes) -> None:
        self._body += piece
        if len(self._body) > self.limits.body_bytes:
            raise body_too_large(self.limits.body_bytes, self.limits.session_bytes)

    def on_message_complete(self) -> None:
        if self.phase is not HEAD:
            if self.phase is REPLAY:
                return
            self._request.body = bytes(self._body)
            self._body.clear()
        self.phase = IDLE
        self._accept(self._request, self._connection)

    # What few requests need.

    def _settle_connection(self, *, stays: bool) -> None:
        parser = self._parser
        stays = stays and not self._is_last
        version = parser.get_http_version()
        self._connection = connection_field(version, self._headers, stays=stays)
        if parser.should_upgrade():
            if not is_ignorable_upgrade(self._headers):
                raise malformed("No other protocol is spoken here.")
            self.phase = REPLAY

    def _expect_body(self) -> None:
        if self.phase is REPLAY:
            return
        version = self._parser.get_http_version()
        headers = self._headers
        length = announced_length(version, headers)
        if length == 0:
            return
        if length is not None and length > self.limits.body_bytes:
            raise body_too_large(self.limits.body_bytes, self.limits.session_bytes)
        self.phase = BODY
        self._headers = {}  # for the trailers, which nobody asks for
        expects = version == "1.1" and headers.get(b"expect", b"").lower() == b"100-continue"
        self._screen(self._request, expects_continue=expects)

    def _replay(self) -> None:
        """Read the head anew without `Upgrade`: with it, the parser would not read the body."""
        fields = [b"%b: %b\r\n" % pair for pair in self._headers.items() if pair[0] != b"upgrade"]
        line = b"%b %b HTTP/1.1\r\n" % (self._request.method, self._url)
        self._parser = httptools.HttpRequestParser(self)
        self.feed(b"".join((line, *fields, b"\r\n")))

    def _measure(self, size: int) -> None:
        """Bound what goes on past the end of a slice of `size` bytes."""
        body_bytes = len(self._body)
        if self._spanned != self.serial or self._spanned_phase is not self.phase:
            # How much of this first slice belongs to it is not known.
            self._spanned = self.serial
            self._spanned_phase = self.phase
            self._head_bytes = self._framing_bytes = 0
            self._is_doubtful = self.phase is HEAD
        elif self.phase is HEAD:
            self._head_bytes += size
            self._check_head()
        else:
            self._framing_bytes += size - (body_bytes - self._measured_body_bytes)
            if self._framing_bytes > self.limits.head_bytes + FRAMING_PER_BYTE * body_bytes:
                raise malformed("Chunk extensions and trailers are longer than a head may be.")
        self._measured_body_bytes = body_bytes

    def _check_head(self) -> None:
        limits = self.limits
        headers = self._headers
        fields = len(headers) + self._repeated
        known = len(self._url) + sum(map(len, headers)) + sum(map(len, headers.values()))
        # As such a head is usually written: `GET TARGET HTTP/1.1`, `name: value`, an empty line.
        usual = known + 17 + 4 * fields
        if fields > limits.head_fields or max(usual, self._head_bytes) > limits.head_bytes:
            raise head_too_large(limits.head_bytes, limits.head_fields)


def slice_bytes(limits: Limits) -> int:
    """The most that `feed` takes: a head within one slice is within its bounds."""
    return min(SLICE_BYTES, limits.head_bytes)


def _reason(error: httptools.HttpParserError) -> Exception:
    """What a callback raised, or what llhttp found."""
    cause = error.__context__
    if isinstance(cause, Exception) and not isinstance(cause, httptools.HttpParserError):
        return cause
    return malformed(f"{error}.")
