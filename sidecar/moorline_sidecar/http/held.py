"""Answers that the copies in the L1 give to hits, found without parsing a request."""

from __future__ import annotations

from moorline_sidecar.cache.entry import Entry
from moorline_sidecar.domain.ids import Hint
from moorline_sidecar.hot import Answer
from moorline_sidecar.http.gate import Gate
from moorline_sidecar.http.rendering import Renderer
from moorline_sidecar.http.rests import Rest
from moorline_sidecar.sessions.hitting import Hitting
from moorline_sidecar.sessions.service import Sessions


class Held:
    """Finds the answer to a known rest; whether it is a hit is for `Hitting.hit` to say."""

    def __init__(self, sessions: Sessions, gate: Gate, hitting: Hitting) -> None:
        self._key_of = sessions.key_of
        self._peek = sessions.core.l1.peek
        self._kept = Renderer(sessions.policy.worker).kept
        self._wants_token = gate.wants_token
        self._trusts = hitting.trusts
        self.hit = hitting.hit

    def find(self, session_id: str, rest: Rest, hint: Hint | None) -> tuple[Entry, Answer] | None:
        """The entry of a session and its answer; None where they are not to be trusted."""
        entry = self._peek(self._key_of(session_id))
        if entry is None or hint is None or self._wants_token(rest.request.headers):
            return None
        if not self._trusts(entry, hint):
            return None
        answer = entry.answer_of(rest.context) or self._kept(entry, session_id, rest.context)
        return None if answer is None else (entry, answer)
