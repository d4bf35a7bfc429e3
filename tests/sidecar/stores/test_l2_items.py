from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moorline_sidecar.domain.session import Json, Mark, Session
from moorline_sidecar.stores.l2_items import (
    ITEM_BYTES_MAX,
    TTL_SECONDS_MAX,
    item_name,
    item_of,
    session_of,
    ttl_of,
)
from msgspec.structs import replace

from tests.contract.sessions import T0, a_session

NAME = item_name("shop", "session-1", 1)

values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(1 << 63), (1 << 63) - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(),
    ),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=10,
)
attributes = st.dictionaries(st.text(), values, max_size=4)


def mark_of(session: Session) -> Mark:
    return Mark(
        version=session.version,
        is_valid=True,
        accessed=session.accessed,
        last_accessed=session.last_accessed,
        expiry=session.expiry,
        max_idle_ms=session.max_idle_ms,
        last_node=session.last_node,
        last_saved=session.last_saved,
        write_id=session.write_id,
    )


@given(
    contexts=st.dictionaries(st.text(), attributes, max_size=3),
    principal=st.one_of(st.none(), st.text()),
    recent=st.lists(st.text(), max_size=3).map(tuple),
    deadline=st.one_of(st.none(), st.integers(T0, T0 * 2)),
)
def test_what_comes_back_equals_what_went_in(
    contexts: dict[str, dict[str, Json]],
    principal: str | None,
    recent: tuple[str, ...],
    deadline: int | None,
) -> None:
    session = a_session(
        contexts=contexts, principal=principal, recent=recent, deadline=deadline, cookie_set=T0 + 1
    )

    item = item_of(NAME, session)

    assert item is not None
    assert session_of(NAME, session.key, mark_of(session), item) == session


def test_times_are_those_of_the_mark() -> None:
    session = a_session()
    item = item_of(NAME, session)
    later = replace(mark_of(session), accessed=T0 + 9, expiry=None, last_node="node7")

    assert item is not None
    found = session_of(NAME, session.key, later, item)

    assert found == replace(session, accessed=T0 + 9, expiry=None, last_node="node7")


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(lambda _: b"", id="nothing"),
        pytest.param(lambda _: b"garbage", id="garbage"),
        pytest.param(lambda item: item[:-1], id="cut"),
        pytest.param(lambda item: item + b"\0", id="longer"),
        pytest.param(lambda item: b"M0" + item[2:], id="another format"),
        pytest.param(lambda item: item[:30] + bytes([item[30] ^ 1]) + item[31:], id="a bit"),
    ],
)
def test_what_is_damaged_is_no_item(damaged: Callable[[bytes], bytes]) -> None:
    session = a_session()
    item = item_of(NAME, session)

    assert item is not None
    assert session_of(NAME, session.key, mark_of(session), damaged(item)) is None


@pytest.mark.parametrize(
    ("name", "write_id"),
    [
        pytest.param(NAME, "another", id="another write"),
        pytest.param(item_name("shop", "session-1", 2), "one", id="another version"),
        pytest.param(item_name("shop", "session-2", 1), "one", id="another key"),
        pytest.param(item_name("shop2", "session-1", 1), "one", id="another cluster"),
    ],
)
def test_an_item_of_something_else_is_none_of_this(name: bytes, write_id: str) -> None:
    session = a_session(write_id="one")
    item = item_of(NAME, session)
    mark = replace(mark_of(session), write_id=write_id)

    assert item is not None
    assert session_of(name, session.key, mark, item) is None


@pytest.mark.parametrize(
    "session",
    [
        pytest.param(a_session(renew_of="origin"), id="a copy that is not settled"),
        pytest.param(a_session(write_id=""), id="no write id"),
        pytest.param(a_session(contexts={"/": {"a": "x" * ITEM_BYTES_MAX}}), id="too big"),
        pytest.param(a_session(contexts={"/": {"a": 1 << 70}}), id="a number beyond 64 bits"),
        pytest.param(a_session(contexts={"/": {"a": "\ud800"}}), id="half a character"),
    ],
)
def test_what_cannot_be_told_apart_or_kept_is_not_kept(session: Session) -> None:
    assert item_of(NAME, session) is None


@pytest.mark.parametrize(
    ("max_idle_ms", "seconds"),
    [(0, TTL_SECONDS_MAX), (1, 1), (1_800_000, 1_800), (10**12, TTL_SECONDS_MAX)],
)
def test_an_item_is_kept_no_longer_than_somebody_may_come_back(
    max_idle_ms: int, seconds: int
) -> None:
    assert ttl_of(a_session(max_idle_ms=max_idle_ms)) == seconds


def test_names_are_taken_by_memcached_whatever_the_key_is() -> None:
    name = item_name("shop", "a b\r\n" * 60, 1)

    assert len(name) <= 250
    assert name.isascii()
    assert not set(b" \r\n\0") & set(name)
