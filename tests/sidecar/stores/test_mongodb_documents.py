"""The layout of a document, and reading one that a person edited or brought from elsewhere."""

from typing import Any

import bson
import msgspec
import pytest
from bson import Binary, Decimal128, Int64, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS
from hypothesis import given
from hypothesis import strategies as st
from moorline_sidecar.domain.session import Reason, Session, Tombstone
from moorline_sidecar.stores.base import Outcome
from moorline_sidecar.stores.mongodb import CODEC, MongoStore
from moorline_sidecar.stores.mongodb_documents import (
    copy_of,
    expired_of,
    mark_of,
    record_of,
    session_document,
    summary_of,
)

from tests.contract.sessions import (
    IDLE,
    T0,
    a_session,
    an_end,
    stored_session,
    with_attributes,
    written,
)
from tests.sidecar.stores.raw import raw_collection

SESSION = a_session(
    version=7,
    deadline=T0 + 99,
    principal="ada",
    recent=("one",),
    renew_of="origin",
    contexts={"/shop": {"a.b": [1, 1.5, None]}},
)


def test_a_document_is_what_the_shell_shows_and_queries() -> None:
    document = session_document(SESSION)

    assert list(document.items()) == [
        ("_id", "session-1"),
        ("valid", True),
        ("version", 7),
        ("created", DatetimeMS(T0)),
        ("lastAccessed", DatetimeMS(T0)),
        ("accessed", DatetimeMS(T0)),
        ("expiry", DatetimeMS(T0 + IDLE)),
        ("maxIdle", IDLE),
        ("lastNode", "node0"),
        ("lastSaved", DatetimeMS(T0)),
        ("cookieSet", DatetimeMS(T0)),
        ("writeId", SESSION.write_id),
        ("deadline", DatetimeMS(T0 + 99)),
        ("principal", "ada"),
        ("recent", ["one"]),
        ("renewOf", "origin"),
        ("context", {"/shop": {"a%2Eb": [1, 1.5, None]}}),
    ]
    assert type(document["version"]) is type(document["maxIdle"]) is Int64


def test_what_does_not_apply_is_not_stored() -> None:
    document = session_document(a_session(expiry=None))

    assert not document.keys() & {"deadline", "principal", "recent", "renewOf"}
    assert document["expiry"] is None


FIELDS = [name for name in session_document(SESSION) if name != "_id"]
DEAD_FIELDS = ["invalidated", "reason", "renewedTo", "graceUntil"]

anything = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(),
        st.text(max_size=5),
        st.binary(max_size=3),
        st.integers(-(2**63), 2**63 - 1).map(DatetimeMS),
        st.sampled_from(
            [
                ObjectId("0" * 24),
                Decimal128("NaN"),
                Regex("("),
                Timestamp(1, 1),
                MinKey(),
                Binary(b"x" * 16, 4),
            ]
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(
    edits=st.dictionaries(st.sampled_from(FIELDS + DEAD_FIELDS), anything, max_size=6),
    removed=st.sets(st.sampled_from(FIELDS)),
    is_valid=st.booleans(),
)
def test_no_edit_of_a_person_makes_a_record_unreadable(
    edits: dict[str, Any],
    removed: set[str],
    is_valid: bool,  # noqa: FBT001 - drawn
) -> None:
    document = {**session_document(SESSION), "valid": is_valid, **edits}
    for name in removed:
        del document[name]
    found = bson.decode(bson.encode(_with_string_keys(document)), CODEC)

    record = record_of(found)

    assert isinstance(record, Session) == (found.get("valid") is True)
    plain = msgspec.to_builtins(record, enc_hook=dict)
    assert msgspec.convert(plain, type(record)) == record
    assert mark_of(found).version == record.version
    assert expired_of(found).key == summary_of(found).key == copy_of(found).key == record.key


EDITS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a version that became a double": ({"version": 7.0}, {"version": 7}),
    "no version": ({"version": ...}, {"version": 0}),
    "no last access": ({"lastAccessed": ...}, {"last_accessed": T0}),
    "no maximum": ({"maxIdle": ...}, {"max_idle_ms": 0}),
    "a date as a number": ({"accessed": T0 + 5}, {"accessed": T0 + 5}),
    "a date beyond the calendar": ({"expiry": DatetimeMS(2**62)}, {"expiry": 253_402_300_799_999}),
    "no expiry": ({"expiry": ...}, {"expiry": None}),
    "a text for a date": ({"expiry": "tomorrow"}, {"expiry": None}),
    "a number for a principal": ({"principal": 5}, {"principal": None}),
    "no context": ({"context": ...}, {"contexts": {}}),
    "a context that is no object": ({"context": {"/": 5}}, {"contexts": {"/": {}}}),
    "what Jetty stores besides": (
        {"id": "x", "lastSavedTime": 5, "contextPath": "/", "attributes": {"a": 1}},
        {},
    ),
}


@pytest.mark.parametrize(("edit", "read"), EDITS.values(), ids=EDITS.keys())
def test_an_edited_session_reads_as(edit: dict[str, Any], read: dict[str, Any]) -> None:
    document = {**session_document(SESSION), **edit}
    present = {name: value for name, value in document.items() if value is not ...}

    assert record_of(present) == msgspec.structs.replace(SESSION, **read)


def test_a_session_that_a_person_ended_by_hand_is_a_tombstone() -> None:
    document = session_document(SESSION) | {"valid": False, "reason": "because"}

    record = record_of(document)

    assert isinstance(record, Tombstone)
    assert (record.reason, record.grace) == (Reason.ADMIN, None)


async def test_a_session_that_a_person_made_can_be_changed_and_ended(
    store: MongoStore, mongo_uri: str, mongo_collection: str
) -> None:
    async with raw_collection(mongo_uri, mongo_collection) as collection:
        await collection.insert_one({"_id": "session-1", "valid": True})
    session = await stored_session(store)

    change = with_attributes(session, {"a": 1})
    assert await written(store, change) is Outcome.APPLIED
    assert (await stored_session(store)).contexts == {"/": {"a": 1}}
    assert await written(store, an_end(version=1)) is Outcome.APPLIED


def _with_string_keys(value: Any) -> Any:  # noqa: ANN401 - any BSON
    """Field names cannot hold NUL."""
    if isinstance(value, dict):
        return {key.replace("\0", ""): _with_string_keys(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_string_keys(item) for item in value]
    return value
