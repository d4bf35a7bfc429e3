"""Sessions read from the bytes of a reply: as the driver would have them, or not at all."""

import datetime as dt
import math
import struct
from types import ModuleType
from typing import Any

import bson
import pytest
from bson import Binary, Decimal128, Int64, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS
from bson.errors import BSONError
from hypothesis import example, given
from hypothesis import strategies as st
from moorline_sidecar.domain.session import Record, Session
from moorline_sidecar.hot import plain
from moorline_sidecar.hot.plain import Row
from moorline_sidecar.stores.bson_codec import encode_key, encode_object
from moorline_sidecar.stores.mongodb import CODEC
from moorline_sidecar.stores.mongodb_documents import (
    LATEST_MS,
    record_of,
    session_document,
    session_of,
)

NOW = 1_700_000_000_000


def document(**more: object) -> dict[str, Any]:
    """A live session as a worker writes it, with other fields."""
    session = Session(
        key="k" * 43,
        version=7,
        created=NOW,
        accessed=NOW + 5,
        last_accessed=NOW,
        max_idle_ms=1_800_000,
        expiry=NOW + 1_800_005,
        last_node="node1",
        last_saved=NOW,
        cookie_set=NOW,
        write_id="w" * 22,
        contexts={"/": {"user": "ann", "cart": [{"sku": "tea", "count": 2, "price": 3.5}]}},
    )
    return session_document(session) | more


def reply_of(*documents: object, **more: object) -> bytes:
    """As the server sends it."""
    cursor = {"firstBatch": list(documents), "id": Int64(0), "ns": "shop.sessions"}
    return bson.encode({"cursor": cursor, "ok": 1.0} | more)


def read(compiled: ModuleType, *documents: object) -> list[Any]:
    """What is found in a reply with these documents."""
    _, batch = compiled.found(reply_of(*documents))
    found: list[Any] = batch
    return found


def decoded(raw: bytes) -> Any:  # noqa: ANN401 whatever it holds
    return bson.decode(raw, CODEC)


def by_driver(raw: bytes) -> Record:
    return record_of(decoded(raw))


def texts(session: Record) -> dict[str, bytes | None]:
    assert isinstance(session, Session)
    contexts: Any = session.contexts
    return {context: contexts.text(context) for context in contexts}


def assert_is_read_as_by_the_driver(row: Row, raw: bytes) -> None:
    session, expected = session_of(row), by_driver(raw)

    assert session == expected
    # Equal values may differ as text: 1 and 1.0, and the order of names.
    assert texts(session) == texts(expected)
    assert list(session.contexts) == list(expected.contexts)


def test_python_leaves_replies_to_the_driver() -> None:
    assert plain.found(reply_of(document())) is None


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({}, id="as it is"),
        pytest.param({"expiry": None}, id="never expires"),
        pytest.param({"deadline": DatetimeMS(NOW)}, id="deadline"),
        pytest.param({"principal": "ann"}, id="principal"),
        pytest.param({"principal": "ännä 😀"}, id="beyond ASCII"),
        pytest.param({"recent": ["one", "two"]}, id="idempotency keys"),
        pytest.param({"recent": []}, id="none of them"),
        pytest.param({"renewOf": "other"}, id="renewed"),
        pytest.param({"version": 7, "maxIdle": -1}, id="numbers of 32 bits"),
        pytest.param({"context": {}}, id="no context"),
        pytest.param({"context": {"/": {}, "/shop": {"a": 1}, "": {}}}, id="contexts"),
        pytest.param({"accessed": DatetimeMS(0), "expiry": DatetimeMS(LATEST_MS)}, id="bounds"),
    ],
)
def test_a_session_is_read(compiled: ModuleType, more: dict[str, Any]) -> None:
    stored = document(**more)

    [row] = read(compiled, stored)

    assert_is_read_as_by_the_driver(row, bson.encode(stored))


def attributes(**values: object) -> dict[str, Any]:
    return {"context": {"/": values}}


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"valid": False}, id="ended"),
        pytest.param({"valid": 1}, id="valid, as a number"),
        pytest.param({"version": 7.0}, id="a float for a version"),
        pytest.param({"version": Int64(2**53 + 1)}, id="a version out of bounds"),
        pytest.param({"created": NOW}, id="a number for a time"),
        pytest.param({"created": None}, id="no time"),
        pytest.param({"accessed": DatetimeMS(-1)}, id="before 1970"),
        pytest.param({"accessed": DatetimeMS(LATEST_MS + 1)}, id="after 9999"),
        pytest.param({"recent": ["one", 2]}, id="a number among texts"),
        pytest.param({"recent": "one"}, id="a text for texts"),
        pytest.param({"writeId": None}, id="null for a text"),
        pytest.param({"note": "by hand"}, id="a field of somebody's own"),
        pytest.param({"context": {"/": 1}}, id="no attributes"),
        pytest.param({"context": 1}, id="no contexts"),
        pytest.param({"context": {"a%2Eb": {}}}, id="an escaped context"),
        pytest.param(attributes(**{"a%2Eb": 1}), id="an escaped name"),
        pytest.param(attributes(a={"%24b": 1}), id="an escaped name within"),
        pytest.param(attributes(a=math.inf), id="infinity"),
        pytest.param(attributes(a=math.nan), id="no number"),
        pytest.param(attributes(a=1e300), id="a float with an exponent"),
        pytest.param(attributes(a=b"\x00\x01"), id="binary"),
        pytest.param(attributes(a=Binary(b"\x00", 4)), id="binary of a subtype"),
        pytest.param(attributes(a=ObjectId(bytes(12))), id="an object id"),
        pytest.param(attributes(a=Regex("a", "i")), id="a regular expression"),
        pytest.param(attributes(a=Decimal128("1.5")), id="a decimal"),
        pytest.param(attributes(a=Timestamp(1, 2)), id="a timestamp"),
        pytest.param(attributes(a=[DatetimeMS(NOW)]), id="a time within"),
        pytest.param(attributes(**{f"a{i}": i for i in range(65)}), id="many names"),
    ],
)
def test_what_no_worker_writes_so_is_left_to_the_driver(
    compiled: ModuleType, more: dict[str, Any]
) -> None:
    stored = document(**more)

    assert read(compiled, document(), stored)[1:] == [bson.encode(stored)]


@pytest.mark.parametrize("field", sorted(document()))
def test_a_session_that_lacks_a_field_is_left_to_the_driver(
    compiled: ModuleType, field: str
) -> None:
    stored = document()
    del stored[field]

    assert read(compiled, stored) == [bson.encode(stored)]


def nested(depth: int) -> dict[str, Any]:
    return {"a": nested(depth - 1)} if depth else {}


def test_depth_is_bounded(compiled: ModuleType) -> None:
    [shallow] = read(compiled, document(**attributes(a=nested(20))))
    [deep] = read(compiled, document(**attributes(a=nested(90))))

    assert isinstance(shallow, tuple)
    assert isinstance(deep, bytes)


def element(kind: int, name: bytes, value: bytes) -> bytes:
    return bytes([kind]) + name + b"\0" + value


def raw_object(*elements: bytes) -> bytes:
    content = b"".join(elements)
    return struct.pack("<i", len(content) + 5) + content + b"\0"


def with_attributes(content: bytes) -> bytes:
    """A session whose context has these bytes."""
    start = document()
    del start["context"]
    before = bson.encode(start)[4:-1]
    return raw_object(before, element(3, b"context", raw_object(element(3, b"/", content))))


def raw_reply(*documents: bytes) -> bytes:
    batch = raw_object(*(element(3, b"%d" % i, each) for i, each in enumerate(documents)))
    cursor = raw_object(element(0x12, b"id", bytes(8)), element(4, b"firstBatch", batch))
    return raw_object(element(3, b"cursor", cursor), element(1, b"ok", struct.pack("<d", 1)))


ONE, TWO = struct.pack("<i", 1), struct.pack("<i", 2)
NO_UTF_8 = struct.pack("<i", 3) + b"\xff\xfe\0"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(raw_object(element(16, b"a", ONE), element(16, b"a", TWO)), id="twice"),
        pytest.param(raw_object(element(16, b"\xff", ONE)), id="a name that is no UTF-8"),
        pytest.param(raw_object(element(2, b"a", NO_UTF_8)), id="a text that is no UTF-8"),
    ],
)
def test_what_the_driver_settles_is_left_to_it(compiled: ModuleType, content: bytes) -> None:
    stored = with_attributes(content)

    _, batch = compiled.found(raw_reply(stored))

    assert batch == [stored]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(raw_object(element(2, b"a", struct.pack("<i", 9) + b"b\0")), id="too long"),
        pytest.param(raw_object(element(2, b"a", struct.pack("<i", 0) + b"b\0")), id="no end"),
        pytest.param(raw_object(element(2, b"a", struct.pack("<i", -1))), id="a negative length"),
        pytest.param(raw_object(b"\x10a"), id="an open name"),
        pytest.param(raw_object(element(3, b"a", struct.pack("<i", 4) + b"\0")), id="too short"),
        pytest.param(raw_object(element(8, b"a", b"\2")), id="neither true nor false"),
        pytest.param(raw_object(element(0x77, b"a", b"")), id="an unknown kind"),
    ],
)
def test_what_is_not_sound_is_not_read(compiled: ModuleType, content: bytes) -> None:
    stored = with_attributes(content)

    _, batch = compiled.found(raw_reply(stored))

    assert batch == [stored]
    with pytest.raises(BSONError):
        decoded(stored)


def test_all_else_of_a_reply_is_kept(compiled: ModuleType) -> None:
    time = {"clusterTime": Timestamp(5, 1), "signature": {"hash": b"", "keyId": Int64(3)}}
    told = {"ok": 1.0, "$clusterTime": time, "operationTime": Timestamp(5, 1)}
    before = bson.encode({"waited": 1, "at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)})

    rest, batch = compiled.found(memoryview(reply_of(**told)))
    other, _ = compiled.found(raw_object(before[4:-1], reply_of(**told)[4:-1]))

    assert batch == []
    assert bson.decode(rest) == told
    assert bson.decode(other) == bson.decode(before) | told


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(bson.encode({"ok": 0.0, "errmsg": "no", "code": 1}), id="an error"),
        pytest.param(bson.encode({"cursor": {"firstBatch": [], "id": Int64(5)}}), id="more"),
        pytest.param(bson.encode({"cursor": {"firstBatch": []}}), id="no id"),
        pytest.param(bson.encode({"cursor": {"id": Int64(0)}}), id="no batch"),
        pytest.param(bson.encode({"cursor": {"firstBatch": {}, "id": Int64(0)}}), id="no array"),
        pytest.param(reply_of(1), id="no document"),
        pytest.param(reply_of() + b"\0", id="more behind it"),
        pytest.param(reply_of()[:-1], id="cut"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_other_replies_are_left_to_the_driver(compiled: ModuleType, reply: bytes) -> None:
    assert compiled.found(reply) is None


def test_what_is_no_bytes_is_refused(compiled: ModuleType) -> None:
    for wrong in (None, "text", 1, memoryview(b"abcd")[::2]):
        with pytest.raises((TypeError, BufferError)):
            compiled.found(wrong)


scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.floats()
values = st.recursive(
    scalars,
    lambda each: st.lists(each, max_size=4) | st.dictionaries(st.text(), each, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), st.dictionaries(st.text(), values, max_size=5), max_size=3))
@example({"/": {'\x00\x1f\x7f"\\/\b\t\n\f\r': '\x00\x1f\x7f"\\/\b\t\n\f\r  é😀'}})
@example({"/": {"a": [0.1, -0.0, 1.0, 1e15, 1e16, 1e-4, 1e-5, 123456789.123, 5e-324]}})
@example({"/": {"a": [-(2**63), 2**63 - 1, 0, -1]}})
def test_whatever_is_read_is_what_the_driver_reads(
    compiled: ModuleType, contexts: dict[str, dict[str, Any]]
) -> None:
    stored = document(
        context={encode_key(name): encode_object(each) for name, each in contexts.items()}
    )

    [found] = read(compiled, stored)

    if isinstance(found, tuple):
        assert_is_read_as_by_the_driver(found, bson.encode(stored))
    else:
        assert found == bson.encode(stored)


SOUND = reply_of(document(principal="ann", recent=["one"]), document(deadline=DatetimeMS(NOW)))


@given(st.data())
def test_broken_replies_are_left_to_the_driver(compiled: ModuleType, data: st.DataObject) -> None:
    broken = bytearray(SOUND)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(broken) - 1))
        broken[place] = data.draw(st.integers(0, 255) | st.sampled_from([0, 1, 2, 3, 4, 255]))
    del broken[data.draw(st.integers(0, len(broken)) | st.just(len(broken))) :]

    found = compiled.found(broken)

    if found is None:
        return
    rest, batch = found
    try:
        told = decoded(bytes(broken))
    except BSONError:
        told = None
    for place, each in enumerate(batch):
        if not isinstance(each, tuple):
            continue
        session = session_of(each)
        if told is not None:
            assert session == record_of(told["cursor"]["firstBatch"][place])
    if told is not None:
        assert decoded(rest) == {k: v for k, v in told.items() if k != "cursor"}
