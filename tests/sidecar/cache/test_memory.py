"""What cached sessions take, which `cache.maxBytes` is to be a bound of."""

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import bson
import pytest
from moorline_sidecar.cache.entry import Entry, times_of
from moorline_sidecar.cache.l1 import L1
from moorline_sidecar.domain.ids import Hint, hashed_key, new_id
from moorline_sidecar.domain.session import Session
from moorline_sidecar.http.rendering import Facts, Renderer
from moorline_sidecar.sessions.finding import Source
from moorline_sidecar.stores.mongodb import CODEC
from moorline_sidecar.stores.mongodb_documents import record_of, session_document

from tests.contract.sessions import T0, a_session

SESSIONS = 200
RENDERER = Renderer("node3")
ROOMY = 1 << 30
REST = b" HTTP/1.1\r\nHost: localhost:7070\r\nMoorline-Hint: 1.node3\r\n\r\n"
"""Of whole requests, behind the id."""


def a_cart(number: int, size: int) -> dict[str, Any]:
    """Attributes of a shop's user, of which most are in many small objects."""
    rows = [{"sku": f"tea-{number}-{row}", "count": row} for row in range(size // 40)]
    return {"user": f"user-{number}", "isMember": True, "visits": number, "cart": rows}


def stored(number: int, size: int) -> tuple[str, bytes]:
    """An id, and the document of its session as a server sends it."""
    session_id = new_id()
    contexts = {"/": a_cart(number, size)}
    session = a_session(hashed_key(session_id), created=T0 - number, contexts=contexts)
    return session_id, bson.encode(session_document(session))


def cached(l1: L1, session_id: str, document: bytes) -> int:
    """Put what was loaded into the L1, and answer with it; the length of that."""
    decoded: dict[str, Any] = bson.decode(document, CODEC)
    session = record_of(decoded)
    assert isinstance(session, Session)
    entry = Entry(session, times_of(session), T0)
    l1.put(entry)
    answer = RENDERER.json(entry, Facts(session_id, "/", Source.HIT))
    assert entry.answer is not None
    name = b"GET /v1/sessions/%b%b" % (session_id.encode(), REST)
    l1.names.put(entry.answer, entry, 0, name, REST)
    return len(answer)


def traced(work: Callable[[], object]) -> int:
    """The bytes that are still allocated after work has been done."""
    gc.collect()
    tracemalloc.start()
    try:
        kept = work()
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0]
        del kept
    finally:
        tracemalloc.stop()
    return taken


@pytest.mark.parametrize("size", [100, 860, 5_000])
def test_a_session_takes_about_what_it_is_accounted_with(size: int) -> None:
    population = [stored(number, size) for number in range(SESSIONS)]
    # Tables of a fixed size have been filled by then.
    answered = [cached(L1(1, ROOMY), *each) for each in population]
    l1 = L1(SESSIONS, ROOMY)

    taken = traced(lambda: [cached(l1, *each) for each in population])

    assert len(l1) == SESSIONS
    # Above it is what only a process shows: places for more in dictionaries, and gaps in memory.
    assert 0.6 * l1.bytes < taken < 1.05 * l1.bytes
    if size == 860:  # a session of 1 KB, which there is a promise of
        assert taken < 2.5 * sum(answered)


def test_a_read_leaves_no_objects_of_the_content_behind() -> None:
    session_id, document = stored(1, 100_000)
    l1 = L1(1, ROOMY)
    cached(l1, session_id, document)
    entry = l1.peek(hashed_key(session_id))
    assert entry is not None
    assert isinstance(entry.record, Session)

    def read() -> None:
        assert isinstance(entry.record, Session)
        assert len(entry.record.contexts["/"]["cart"]) == 100_000 // 40
        assert RENDERER.hint(entry) == Hint(1, "node3")

    assert traced(read) < 10_000
