"""Entries for tests of the L1."""

from moorline_sidecar.cache.entry import Entry, times_of
from moorline_sidecar.domain.changes import Patch
from moorline_sidecar.domain.merging import Asked
from moorline_sidecar.domain.session import Session
from moorline_sidecar.hot import Answer

from tests.contract.sessions import a_session

LINE = b"GET /v1/sessions/" + 32 * b"a"
REST = b" HTTP/1.1\r\n\r\n"
"""Together the name of an answer."""

A_CHANGE = Asked(patch=Patch(context="/", set={"a": 1}))


def weighing(key: str, attribute_bytes: int = 0) -> Session:
    """A session whose only attribute has so many bytes."""
    return a_session(key, contexts={"/": {"x": "y" * attribute_bytes}})


def an_entry(key: str, attribute_bytes: int = 0, *, is_unsaved: bool = False) -> Entry:
    session = weighing(key, attribute_bytes)
    entry = Entry(session, times_of(session), 0)
    if is_unsaved:
        entry.unsaved = (A_CHANGE,)
    return entry


def an_answer(context: str = "/") -> Answer:
    return Answer(
        context=context,
        lead=b"lead",
        own=b"own",
        middle=b"middle",
        attributes=b"{}",
        tag_end=0,
        json_start=0,
    )
