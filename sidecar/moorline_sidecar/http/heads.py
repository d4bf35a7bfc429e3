"""What a head must look like beyond what llhttp checks: the request, or the reason to refuse it.

llhttp (strict, as httptools runs it) refuses by itself: obs-fold, spaces before colons, bare CR and
LF, control characters, bytes outside ASCII in targets, repeated or malformed `Content-Length`,
`Content-Length` beside `Transfer-Encoding`, versions that never were. It lets pass what is refused
here: HTTP/0.9 and 2.0, codings other than `chunked`, repeated `Host`, absolute targets, CONNECT.
"""

from __future__ import annotations

from typing import Final

from moorline_sidecar.http.framing import CLOSE, STAY, STAY_1_0
from moorline_sidecar.http.messages import Response
from moorline_sidecar.http.problems import problem

SINGLE_FIELDS: Final = frozenset(
    {
        b"authorization",
        b"content-length",
        b"content-type",
        b"expect",
        b"host",
        b"idempotency-key",
        b"moorline-context",
        b"moorline-hint",
        b"moorline-session",
        b"origin",
        b"transfer-encoding",
    }
)
"""Fields that mean one thing: two of them may be read differently by whoever forwards them."""


class Refused(Exception):
    """The request gets `answer`, and its connection nothing after that."""

    def __init__(self, answer: Response) -> None:
        self.answer = answer
        super().__init__(answer.status)


def malformed(detail: str) -> Refused:
    return Refused(problem("malformed-request", detail))


def head_too_large(limit_bytes: int, limit_fields: int) -> Refused:
    detail = f"Request line and header fields: at most {limit_bytes} bytes, {limit_fields} fields."
    return Refused(problem("headers-too-large", detail, limit=limit_bytes))


def body_too_large(limit_bytes: int, session_bytes: int | None) -> Refused:
    """The limit that is told is that of a session, where the body is to make one."""
    detail = f"The body of a request has at most {limit_bytes} bytes."
    if session_bytes is not None:
        detail += f" A session has at most {session_bytes}, as sessions.maxBytes says."
    limit = limit_bytes if session_bytes is None else session_bytes
    return Refused(problem("too-large", detail, limit=limit))


def repeated(name: bytes, first: bytes, second: bytes) -> bytes:
    """The value of a field that came twice (RFC 9110 5.3; RFC 9113 8.2.3 for cookies)."""
    if name in SINGLE_FIELDS:
        raise malformed(f"The field {name.decode('ascii')} may be there once only.")
    return first + (b"; " if name == b"cookie" else b", ") + second


def bad_target() -> Refused:
    return malformed("The target of a request starts with / and has no fragment; no CONNECT.")


def connection_field(version: str, headers: dict[bytes, bytes], *, stays: bool) -> bytes:
    """The `Connection` field of the answer; `stays` is what the client asked for."""
    if version == "1.1":
        if b"host" not in headers:
            raise malformed("A request of HTTP/1.1 needs the field host.")
        return STAY if stays else CLOSE
    if version != "1.0":
        raise malformed("HTTP/1.1 and HTTP/1.0 are spoken here.")
    return STAY_1_0 if stays else CLOSE


def announced_length(version: str, headers: dict[bytes, bytes]) -> int | None:
    """The length of the body in bytes; None when it comes in chunks."""
    coding = headers.get(b"transfer-encoding")
    if coding is None:
        return int(headers[b"content-length"])
    if coding.lower() != b"chunked" or version != "1.1":
        raise malformed("The only transfer coding is chunked, in HTTP/1.1.")
    return None


def is_ignorable_upgrade(headers: dict[bytes, bytes]) -> bool:
    """Whether the client would as soon stay with HTTP/1.1, as Java's HttpClient and curl offer.

    Both send `Upgrade: h2c` with ordinary requests; a server may ignore it (RFC 9110 7.8).
    """
    return headers[b"upgrade"].lower() == b"h2c"
