"""Sessions as JSON, and the header fields that go with them.

What does not change between two accesses is encoded once per record and context, kept with the
entry, and only the times are put in between.
"""

from __future__ import annotations

import sys
from functools import lru_cache

import msgspec
from msgspec import Raw, Struct

from moorline_sidecar.cache.entry import Entry
from moorline_sidecar.domain.content import content_of
from moorline_sidecar.domain.ids import Hint
from moorline_sidecar.domain.session import Session
from moorline_sidecar.hot import TIMES_BYTES, Answer, instant
from moorline_sidecar.http.framing import STATUS_LINES, length_and_end
from moorline_sidecar.http.messages import Response
from moorline_sidecar.http.tags import entity_tag
from moorline_sidecar.sessions.finding import Source

_OK = STATUS_LINES[200]
_JSON = b"Content-Type: application/json\r\n"
_NO_STORE = b"Cache-Control: no-store\r\n"
_END = b"}"
_NO_ATTRIBUTES = b"{}"
_encode = msgspec.json.Encoder().encode


class Facts(Struct, frozen=True, gc=False):
    """What an answer says besides the session.

    `at_least` is the version that the client presented with a change: its hint never goes back.
    """

    session_id: str
    context: str
    source: Source
    is_new: bool = False
    was_renewed: bool = False
    is_degraded: bool = False
    at_least: int = 0
    more: bytes = b""


class Renderer:
    """Answers of one worker."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._worker_json = _encode(worker)

    def hint(self, entry: Entry, at_least: int = 0) -> Hint:
        """What a client has seen after an answer from this entry."""
        return Hint(max(entry.stored.version, at_least), self._worker)

    def session(self, status: int, entry: Entry, facts: Facts) -> Response:
        """An answer with the session."""
        answer = self._answer(entry, facts)
        fields = _JSON + self._common(entry, facts) + answer.own[: answer.tag_end]
        return Response(status, fields, _joined(entry, answer))

    def kept(self, entry: Entry, session_id: str, context: str) -> Answer | None:
        """The answer to hits in a context that a live session has, encoded and kept."""
        record = entry.record
        if not isinstance(record, Session) or context not in record.contexts:
            return None
        return self._answer(entry, Facts(session_id, context, Source.HIT))

    def json(self, entry: Entry, facts: Facts) -> bytes:
        """The session alone."""
        return _joined(entry, self._answer(entry, facts))

    def empty(self, status: int, entry: Entry, facts: Facts) -> Response:
        """A 204 or 304."""
        expiry = entry.times.own_expiry
        expires = b"never" if expiry is None else instant(expiry)
        return Response(
            status, b"%bMoorline-Expires: %b\r\n" % (self.fields(entry, facts), expires)
        )

    def value(self, entry: Entry, facts: Facts, value: Raw) -> Response:
        """An answer with one attribute."""
        return Response(200, _JSON + self.fields(entry, facts), bytes(value))

    def fields(self, entry: Entry, facts: Facts) -> bytes:
        """The fields of every successful answer about a session."""
        return self._common(entry, facts) + _tag(entry, facts)

    def _common(self, entry: Entry, facts: Facts) -> bytes:
        """The fields but for the tag: the same for many sessions."""
        hint = self.hint(entry, facts.at_least)
        fields = _usual(hint.version, self._worker, facts.source, entry.is_evictable)
        if facts.was_renewed:
            fields += b"Moorline-Renewed: true\r\n"
        if facts.is_degraded:
            fields += b"Moorline-Degraded: store-unavailable\r\n"
        return fields + facts.more

    def _answer(self, entry: Entry, facts: Facts) -> Answer:
        kept = entry.answer_of(facts.context)
        if kept is not None and not facts.is_new:
            return kept
        answer = self._encoded(entry, facts)
        # Contexts that a session does not have are as many as somebody asks for.
        is_known = isinstance(entry.record, Session) and facts.context in entry.record.contexts
        if is_known and not facts.is_new:
            entry.keep(answer)
        return answer

    def _encoded(self, entry: Entry, facts: Facts) -> Answer:
        session = entry.record
        assert isinstance(session, Session)  # noqa: S101 tombstones are answered with a problem
        before_times = b'{"id":%b,"worker":%b,"context":%b,"version":%d,"new":%b,"created":"%b' % (
            _encode(facts.session_id),
            self._worker_json,
            _encode(facts.context),
            session.version,
            b"true" if facts.is_new else b"false",
            instant(session.created),
        )
        middle = b'","maxIdleSeconds":%b,"principal":%b,"attributes":' % (
            _encode(_seconds(session.max_idle_ms)),
            _encode(session.principal),
        )
        attributes = content_of(session.contexts).text(facts.context) or _NO_ATTRIBUTES
        hit = Facts(facts.session_id, facts.context, Source.HIT)
        size = len(before_times) + TIMES_BYTES + len(middle) + len(attributes) + len(_END)
        tag = _tag(entry, hit)
        head = tag + length_and_end(size)
        return Answer(
            context=sys.intern(facts.context),
            lead=_one(_OK + _JSON + self._common(entry, hit)),
            own=head + before_times,
            middle=_one(middle),
            attributes=attributes,
            tag_end=len(tag),
            json_start=len(head),
        )


def _joined(entry: Entry, answer: Answer) -> bytes:
    times = entry.times
    expiry = times.own_expiry
    return b'%b","accessed":"%b","lastAccessed":"%b","expires":%b%b%b}' % (
        answer.own[answer.json_start :],
        instant(times.own_accessed),
        instant(times.own_last_accessed),
        b"null" if expiry is None else b'"' + instant(expiry),
        answer.middle[1:] if expiry is None else answer.middle,
        answer.attributes,
    )


def _tag(entry: Entry, facts: Facts) -> bytes:
    if not entry.is_evictable:
        return b""
    return b"ETag: %b\r\n" % entity_tag(facts.session_id, entry.stored.version)


@lru_cache(maxsize=512)
def _usual(version: int, worker: str, source: Source, is_saved: bool) -> bytes:  # noqa: FBT001
    """The fields that all answers from an entry have; versions are few where sessions are many."""
    unsaved = b"" if is_saved else b"Moorline-Unsaved: true\r\n"
    return b"%b%bMoorline-Hint: %b\r\nMoorline-Cache: %b\r\n" % (
        _NO_STORE,
        unsaved,
        str(Hint(version, worker)).encode(),
        source.value,
    )


@lru_cache(maxsize=512)
def _one(text: bytes) -> bytes:
    """The same text, as one object for all who hold it."""
    return text


def _seconds(milliseconds: int) -> int | float:
    seconds, rest = divmod(milliseconds, 1000)
    return milliseconds / 1000 if rest else seconds
