"""What plain requests ask for besides the session that they name, known by its bytes.

A rest is known once the reader of all other requests has read it, around a name that stands for
any; so what is taken for a request by its rest is one there too, with the same fields.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from moorline_sidecar.domain.ids import Hint
from moorline_sidecar.errors import InvalidRequest
from moorline_sidecar.http.asking import context_of
from moorline_sidecar.http.framing import STAY
from moorline_sidecar.http.gate import Gate
from moorline_sidecar.http.heads import Refused
from moorline_sidecar.http.limits import Limits
from moorline_sidecar.http.messages import Request
from moorline_sidecar.http.reading import IDLE, RequestReader

REST_BYTES_MAX: Final = 1024
"""Longer ones hold cookies or tokens, and hardly come again."""

RESTS_MAX: Final = 2_048
"""They differ by client, version and worker; some hundred bytes each."""

_ASKS_FOR_MORE: Final = frozenset(
    {
        b"content-length",
        b"if-none-match",
        b"moorline-session",
        b"traceparent",
        b"transfer-encoding",
    }
)
"""Fields that let a `GET` ask for more, or for another one, than the session as it is."""


class Rest(Struct, frozen=True, gc=False):
    """`hint` is that of the request, beside what a cookie may say; `text` is the rest itself."""

    request: Request
    context: str
    hint: Hint | None
    text: bytes


class Rests:
    """Those that have come twice; `read` makes one of its bytes, None of what is not plain."""

    def __init__(
        self, read: Callable[[bytes], Rest | None], bytes_max: int = REST_BYTES_MAX
    ) -> None:
        self._read = read
        self._bytes_max = min(bytes_max, REST_BYTES_MAX)
        self._known: dict[bytes, Rest | None] = {}
        self._seen: set[int] = set()
        self.get = self._known.get

    def consider(self, rest: bytes) -> None:
        """Learn it when it comes for the second time, unless it is too long."""
        if len(rest) > self._bytes_max or rest in self._known:
            return
        mark = hash(rest)
        if mark not in self._seen:
            if len(self._seen) >= RESTS_MAX:
                self._seen.clear()
            self._seen.add(mark)
            return
        if len(self._known) >= RESTS_MAX:
            self._known.clear()
        self._known[rest] = self._read(rest)

    def clear(self) -> None:
        self._known.clear()


class PlainReader:
    """Reads whole requests, for what is to be known of others like them."""

    def __init__(self, gate: Gate, default_context: str, limits: Limits) -> None:
        self._gate = gate
        self._limits = limits
        self.default_context = default_context

    def read(self, data: bytes) -> tuple[Request, str] | None:
        """The request that `data` is, and its context; None unless it asks for a session alone."""
        request = _only_request(data, self._limits)
        if request is None or request.query:
            return None
        headers = request.headers
        if self._gate.refusal(headers) is not None or not _ASKS_FOR_MORE.isdisjoint(headers):
            return None
        try:
            return request, context_of(request, {}, self.default_context)
        except InvalidRequest:
            return None


class _Sink:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.accepted: list[tuple[Request, bytes]] = []

    def screen(self, head: Request, *, expects_continue: bool) -> None:
        """Nothing: a request with a body is not plain, whatever its head says."""

    def accept(self, request: Request, connection: bytes) -> None:
        self.accepted.append((request, connection))


def _only_request(data: bytes, limits: Limits) -> Request | None:
    """The request that is all of `data`, and leaves its connection open without saying so."""
    sink = _Sink()
    reader = RequestReader(limits, sink)
    try:
        reader.feed(data)
        is_between = reader.phase is IDLE
    except Refused:
        return None
    finally:
        reader.close()
    if not is_between or len(sink.accepted) != 1 or sink.accepted[0][1] is not STAY:
        return None
    return sink.accepted[0][0]
