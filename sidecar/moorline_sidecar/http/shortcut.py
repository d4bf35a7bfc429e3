"""Hits answered from the bytes of a request, without parsing them.

The commonest request is a `GET` of a session by id that comes in one piece, from a client that
writes the same fields each time. Such a piece is the name of its answer, once it has been looked up
in two parts: the first 49 bytes, `GET /v1/sessions/` and an id of 32 characters, and the rest,
which may begin with the suffix of a worker. Whatever is unknown, in several pieces or less plain
than that is left to the reader.
"""

from __future__ import annotations

import re
from typing import Final

from moorline_sidecar.cache.entry import Entry
from moorline_sidecar.cache.l1 import FREQUENCY_MAX
from moorline_sidecar.errors import InvalidRequest
from moorline_sidecar.hot import ID_BYTES, LINE_BYTES, START, Answer, Hits, hit
from moorline_sidecar.http.asking import Asking
from moorline_sidecar.http.by_cookie import ByCookie
from moorline_sidecar.http.gate import Gate
from moorline_sidecar.http.held import Held
from moorline_sidecar.http.limits import Limits
from moorline_sidecar.http.rests import PlainReader, Rest, Rests
from moorline_sidecar.http.shortcut_by_cookie import COOKIE_LINE, ShortcutByCookie
from moorline_sidecar.http.targets import named_session, target_of
from moorline_sidecar.sessions.hitting import Hitting
from moorline_sidecar.sessions.service import Sessions

_LINE: Final = re.compile(rb"%b([A-Za-z0-9_-]{%d})\Z" % (START, ID_BYTES))
_ANY_ID: Final = "0" * ID_BYTES
_ANY: Final = START + _ANY_ID.encode()


class Shortcut:
    """Knows answers by the requests that ask for them, and rests by their bytes."""

    def __init__(
        self,
        sessions: Sessions,
        by_cookie: ByCookie,
        gate: Gate,
        default_context: str,
        limits: Limits,
    ) -> None:
        core = sessions.core
        held = Held(sessions, gate, Hitting(core, sessions.touching))
        self._find = held.find
        self._hit = held.hit
        self._names = sessions.core.l1.names
        self._standing = core.standing
        self.answer = Hits(
            self._names, core.standing, core.clock, FREQUENCY_MAX, self._on_named, self._on_other
        ).answer
        """The `messages.Quick` of these sessions."""
        self._is_guarded = gate.is_guarded
        self._reader = PlainReader(gate, default_context, limits)
        self._rests = Rests(self._read, limits.head_bytes - LINE_BYTES)
        self._by_cookie = ShortcutByCookie(by_cookie, held, self._reader, limits)

    def follow(self, by_cookie: ByCookie, default_context: str) -> None:
        """Write these cookies from now on, and give this context to who names none."""
        self._reader.default_context = default_context
        self._rests.clear()
        self._by_cookie.follow(by_cookie)
        self._names.clear()

    def _on_named(self, answer: Answer) -> bytes | None:
        """The answer to a request that is its name, if it is a hit."""
        entry: Entry | None = answer.entry
        return hit(answer, entry.times) if entry is not None and self._hit(entry) else None

    def _on_other(self, data: bytes) -> bytes | None:
        """The answer to a request that is known by its parts, and from now on as a whole."""
        if not data.startswith(START):
            return self._by_cookie.answer(data) if data.startswith(COOKIE_LINE) else None
        line, after = data[:LINE_BYTES], data[LINE_BYTES:]
        match = _LINE.match(line)
        if match is None:
            return None
        rest = self._rests.get(after)
        if rest is None:
            self._rests.consider(after)
            return None
        found = self._find(match[1].decode(), rest, rest.hint)
        if found is None:
            return None
        entry, answer = found
        if not self._is_guarded:  # by its name it would be found whatever the token is by then
            self._names.put(answer, entry, self._standing.since, data, rest.text)
        return hit(answer, entry.times) if self._hit(entry) else None

    def _read(self, rest: bytes) -> Rest | None:
        """What follows the line of exactly one plain request; None for all else."""
        read = self._reader.read(_ANY + rest)
        if read is None:
            return None
        request, context = read
        try:
            target = target_of(request.path)
            if target is None or target.route != ("sessions", "{id}"):
                return None
            named = named_session(target.parameters[0])
        except InvalidRequest:
            return None
        hint = Asking(request, {}, context).hint(named)
        if named.session_id != _ANY_ID or hint is None:
            return None
        return Rest(request, context, hint, rest)
