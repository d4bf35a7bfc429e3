"""Hits answered from the bytes of a request, without parsing them.

The commonest request is a `GET` of a session by id that comes in one piece, from a client that
writes the same fields each time. Such a piece is the name of its answer, once it has been looked up
in two parts: the first 49 bytes, `GET /v1/sessions/` and an id of 32 characters, and the rest. A
rest is known once the reader of all other requests has read it, behind an id that stands for any;
so what is taken for a request here is one there too, with the same fields. Whatever is unknown, in
several pieces or less plain than that is left to the reader.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from moorline_sidecar.domain.ids import Hint, parse_hint
from moorline_sidecar.errors import InvalidRequest
from moorline_sidecar.http.asking import context_of
from moorline_sidecar.http.framing import STAY
from moorline_sidecar.http.gate import Gate
from moorline_sidecar.http.heads import Refused
from moorline_sidecar.http.limits import Limits
from moorline_sidecar.http.messages import Request
from moorline_sidecar.http.reading import IDLE, RequestReader
from moorline_sidecar.http.rendering import hit
from moorline_sidecar.sessions.hitting import Hitting
from moorline_sidecar.sessions.service import Sessions

_LINE: Final = re.compile(rb"GET /v1/sessions/([A-Za-z0-9_-]{32})\Z")
_ANY: Final = b"GET /v1/sessions/" + b"0" * 32
_ANY_PATH: Final = _ANY.removeprefix(b"GET ")
_LINE_BYTES: Final = len(_ANY)

REST_BYTES_MAX: Final = 1024
"""Longer ones hold cookies or tokens, and hardly come again."""

RESTS_MAX: Final = 2_048
"""They differ by client, version and worker; some hundred bytes each."""

_ASKS_FOR_MORE: Final = frozenset(
    {b"content-length", b"if-none-match", b"traceparent", b"transfer-encoding"}
)
"""Fields that let a `GET` ask for more than the session as it is."""


class Rest(Struct, frozen=True, gc=False):
    """What a request asks for besides the session that it names."""

    request: Request
    context: str
    hint: Hint


class Shortcut:
    """Knows answers by the requests that ask for them, and rests by their bytes."""

    def __init__(
        self, sessions: Sessions, gate: Gate, default_context: str, limits: Limits
    ) -> None:
        self._key_of = sessions.key_of
        hitting = Hitting(sessions.core, sessions.touching)
        self._hit = hitting.hit
        self._trusts = hitting.trusts
        self._l1 = sessions.core.l1
        self._named = sessions.core.l1.named
        self._gate = gate
        self._is_guarded = gate.is_guarded
        self._default_context = default_context
        self._limits = limits
        self._rest_bytes_max = min(REST_BYTES_MAX, limits.head_bytes - _LINE_BYTES)
        self._rests: dict[bytes, Rest | None] = {}
        self._seen: set[int] = set()

    def follow(self, default_context: str) -> None:
        """Give this context from now on to who names none."""
        self._default_context = default_context
        self._rests.clear()
        self._l1.forget_names()

    def answer(self, data: bytes) -> bytes | None:
        """The `messages.Quick` of these sessions."""
        answer = self._named(data)
        if answer is None:
            return self._recognized(data)
        entry = answer.entry
        if entry is None or not self._hit(entry):
            return None
        return hit(answer, entry.times)

    def _recognized(self, data: bytes) -> bytes | None:
        """The answer to a request that is known by its parts, and from now on as a whole."""
        rest = self._rests.get(data[_LINE_BYTES:])
        if rest is None:
            self._consider(data)
            return None
        match = _LINE.match(data[:_LINE_BYTES])
        entry = self._l1.peek(self._key_of(match[1].decode())) if match else None
        if entry is None or self._gate.wants_token(rest.request.headers):
            return None
        answer = entry.answer_of(rest.context)
        if answer is None or not self._trusts(entry, rest.hint):
            return None
        if not self._is_guarded:  # by its name it would be found whatever the token is by then
            self._l1.name(entry, answer, data)
        return hit(answer, entry.times) if self._hit(entry) else None

    def _consider(self, data: bytes) -> None:
        """Learn the rest of a request when it comes for the second time."""
        line, rest = data[:_LINE_BYTES], data[_LINE_BYTES:]
        if len(rest) > self._rest_bytes_max or rest in self._rests or not _LINE.match(line):
            return
        mark = hash(rest)
        if mark not in self._seen:
            if len(self._seen) >= RESTS_MAX:
                self._seen.clear()
            self._seen.add(mark)
            return
        if len(self._rests) >= RESTS_MAX:
            self._rests.clear()
        self._rests[rest] = self._read(rest)

    def _read(self, rest: bytes) -> Rest | None:
        """What follows the line of exactly one plain request; None for all else."""
        request = _only_request(_ANY + rest, self._limits)
        if request is None or request.path != _ANY_PATH or request.query:
            return None
        headers = request.headers
        if self._gate.refusal(headers) is not None or not _ASKS_FOR_MORE.isdisjoint(headers):
            return None
        hint = parse_hint(headers.get(b"moorline-hint", b"").decode("latin-1"))
        try:
            context = context_of(request, {}, self._default_context)
        except InvalidRequest:
            return None
        return None if hint is None else Rest(request, context, hint)


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
