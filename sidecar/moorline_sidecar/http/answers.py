"""Answers about sessions, as every route gives them."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from moorline_sidecar.cache.entry import Entry
from moorline_sidecar.domain.ids import Hint
from moorline_sidecar.domain.session import Tombstone
from moorline_sidecar.errors import MoorlineError, SessionEnded, VersionConflict
from moorline_sidecar.http.asking import Asking
from moorline_sidecar.http.messages import Response
from moorline_sidecar.http.refusals import refusal_of
from moorline_sidecar.http.rendering import Facts, Renderer
from moorline_sidecar.http.targets import Target, named_session
from moorline_sidecar.sessions.finding import Source
from moorline_sidecar.sessions.service import Served, Sessions

PREFERENCE_APPLIED: Final = b"Preference-Applied: return=representation\r\n"


class Answers:
    """Renders what the sessions layer served; `more` are further fields, such as cookies."""

    def __init__(self, sessions: Sessions) -> None:
        self._availability = sessions.core.availability
        self._keeps_end = sessions.core.keeps_end
        self.renderer = Renderer(sessions.policy.worker)

    def read(self, served: Served, session_id: str, asking: Asking, more: bytes = b"") -> Response:
        """200 with the session, or 304."""
        facts = self._facts(served, session_id, asking, more=more)
        entry = served.entry
        if entry.is_evictable and asking.is_known(session_id, entry.stored.version):
            return self.renderer.empty(304, entry, facts)
        return self.renderer.session(200, entry, facts)

    def whole(self, served: Served, session_id: str, asking: Asking, more: bytes = b"") -> Response:
        """200 with the session, whatever the client has."""
        facts = self._facts(served, session_id, asking, more=more)
        return self.renderer.session(200, served.entry, facts)

    def empty(self, served: Served, session_id: str, asking: Asking, more: bytes = b"") -> Response:
        """204."""
        facts = self._facts(served, session_id, asking, more=more)
        return self.renderer.empty(204, served.entry, facts)

    def created(
        self, served: Served, session_id: str, asking: Asking, more: bytes = b""
    ) -> Response:
        """201 with the session and where it is."""
        return self._located(201, served, session_id, asking, more)

    def renewed(
        self, served: Served, session_id: str, asking: Asking, more: bytes = b""
    ) -> Response:
        """200 with the session under its new id."""
        return self._located(200, served, session_id, asking, more)

    def changed(  # noqa: PLR0913 each says something else of the answer
        self,
        served: Served,
        session_id: str,
        asking: Asking,
        presented: Hint | None,
        *,
        shows_session: bool = False,
        more: bytes = b"",
    ) -> Response:
        """204, or 200 with the session."""
        at_least = presented.version if presented is not None and served.was_changed else 0
        facts = self._facts(served, session_id, asking, more=more, at_least=at_least)
        if shows_session:
            return self.renderer.session(200, served.entry, facts)
        return self.renderer.empty(204, served.entry, facts)

    def attribute(self, served: Served, session_id: str, asking: Asking, value: Raw) -> Response:
        """200 with one attribute's value."""
        facts = self._facts(served, session_id, asking)
        entry = served.entry
        if entry.is_evictable and asking.is_known(session_id, entry.stored.version):
            return self.renderer.empty(304, entry, facts)
        return self.renderer.value(entry, facts, value)

    def gone(self, more: bytes = b"", *, key: str = "") -> Response:
        """204 for a session that is over; marked while its end is kept here alone."""
        if self._keeps_end(key):
            more += b"Moorline-Unsaved: true\r\n"
        return self._marked(Response(204, b"Cache-Control: no-store\r\n" + more))

    def refused(self, error: MoorlineError) -> Response:
        """The problem; marked while the store is away, as every answer about a session is."""
        return self._marked(refusal_of(error))

    def _marked(self, response: Response) -> Response:
        if self._availability.is_down:
            response.fields += b"Moorline-Degraded: store-unavailable\r\n"
        return response

    def conflict(self, error: VersionConflict, asking: Asking, target: Target) -> Response:
        """412 with the session as it is now."""
        entry = error.current
        if not isinstance(entry, Entry):
            return self.refused(error)
        if isinstance(entry.record, Tombstone):
            return self.refused(SessionEnded(entry.record.reason))
        session_id = error.session_id or named_session(target.parameters[0]).session_id
        facts = Facts(session_id, asking.context, Source.BYPASS)
        current = msgspec.Raw(self.renderer.json(entry, facts))
        return self._marked(refusal_of(error, current=current))

    def _located(
        self, status: int, served: Served, session_id: str, asking: Asking, more: bytes
    ) -> Response:
        more += b"Location: /v1/sessions/%b\r\n" % session_id.encode()
        return self.renderer.session(
            status, served.entry, self._facts(served, session_id, asking, more=more)
        )

    def _facts(
        self,
        served: Served,
        session_id: str,
        asking: Asking,
        *,
        more: bytes = b"",
        at_least: int = 0,
    ) -> Facts:
        return Facts(
            session_id,
            asking.context,
            served.source,
            is_new=served.is_new,
            was_renewed=served.was_renewed,
            is_degraded=self._availability.is_down,
            at_least=at_least,
            more=more,
        )
