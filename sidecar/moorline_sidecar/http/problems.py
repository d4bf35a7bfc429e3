"""Problem answers (RFC 9457), one constructor for the whole table of http-api.md."""

from __future__ import annotations

from typing import Final

import msgspec

from moorline_sidecar.http.messages import Response

STATUS_OF: Final[dict[str, int]] = {
    "malformed-json": 400,
    "malformed-request": 400,
    "invalid-id": 400,
    "invalid-context": 400,
    "ambiguous-cookie": 400,
    "token-required": 401,
    "not-for-browsers": 403,
    "session-unknown": 404,
    "attribute-unknown": 404,
    "route-unknown": 404,
    "method-not-allowed": 405,
    "request-timeout": 408,
    "session-ended": 410,
    "length-required": 411,
    "version-conflict": 412,
    "session-exists": 412,
    "too-large": 413,
    "unsupported-media-type": 415,
    "invalid-value": 422,
    "too-many-sessions": 429,
    "headers-too-large": 431,
    "store-unavailable": 503,
    "shutting-down": 503,
    "overloaded": 503,
    "outcome-unknown": 504,
}

TITLES: Final[dict[str, str]] = {
    "malformed-json": "The body is not JSON",
    "malformed-request": "The request is not well-formed",
    "invalid-id": "Not a session id",
    "invalid-context": "Not a context",
    "ambiguous-cookie": "Two different live sessions in the cookies",
    "token-required": "A token is required",
    "not-for-browsers": "Not for browsers",
    "session-unknown": "No such session",
    "attribute-unknown": "No such attribute",
    "route-unknown": "No such route",
    "method-not-allowed": "Method not allowed",
    "request-timeout": "The request took too long to arrive",
    "session-ended": "The session has ended",
    "length-required": "A length is required",
    "version-conflict": "The session has changed meanwhile",
    "session-exists": "The id is taken",
    "too-large": "Too large",
    "unsupported-media-type": "Not JSON",
    "invalid-value": "A value cannot be stored",
    "too-many-sessions": "Too many sessions of this principal",
    "headers-too-large": "The head of the request is too large",
    "store-unavailable": "The session store is out of reach",
    "shutting-down": "The sidecar is shutting down",
    "overloaded": "The sidecar is overloaded",
    "outcome-unknown": "The outcome of the write is unknown",
}

RETRY_AFTER_SECONDS: Final = 1
"""An outage is probed more often than that, so a client that waits this long finds the news."""

_encode = msgspec.json.Encoder().encode


def problem(name: str, detail: str, *, fields: bytes = b"", **members: object) -> Response:
    """The problem `name` with a `detail` that tells what to do; 503 carries `Retry-After`."""
    status = STATUS_OF[name]
    body = _encode(
        {
            "type": f"urn:moorline:problem:{name}",
            "title": TITLES[name],
            "status": status,
            "detail": detail,
            **members,
        }
    )
    head = b"Content-Type: application/problem+json\r\nCache-Control: no-store\r\n"
    if status == 503:  # noqa: PLR2004
        head += b"Retry-After: %d\r\n" % RETRY_AFTER_SECONDS
    return Response(status, head + fields, body)
