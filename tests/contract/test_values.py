"""What comes back equals what went in, kinds included."""

import base64
import json
import string
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moorline_sidecar.domain.session import Json
from moorline_sidecar.stores.base import Outcome, SessionStore

from tests.contract.sessions import (
    a_session,
    fresh_key,
    inserted,
    stored_session,
    with_attributes,
    written,
)

ODD_NAMES = [
    *("a.b", "a..b", ".", "$", "$set", "$ref", "$id", "$db", "%", "%%", "%2E", "%24", "%25", "%00"),
    *("%2e", "100%", "\0", "a\0b", "0", "-1", "__proto__", "_id", "é", "😀", " ", "\u2028", "\\"),
]

names = st.one_of(
    st.sampled_from(ODD_NAMES),
    # SecantusDB takes a name of superscripts, as "²", for the place in an array, and fails.
    st.text(min_size=1, max_size=8).filter(lambda name: name.isdecimal() or not name.isdigit()),
    st.text(alphabet="%.$\0" + string.hexdigits, min_size=1, max_size=6),
)
binary = st.binary(max_size=8).map(
    lambda content: {"$binary": {"base64": base64.b64encode(content).decode(), "subType": "00"}}
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([0, 1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1, -(2**63)]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 1.0, 5e-324, 1.7976931348623157e308, 1e16]),
    st.text(max_size=8),
    st.sampled_from(["", "\0", "$x", "😀", "\ud7ff", "a" * 300]),
    binary,
)


def nested(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    nested_names = st.one_of(names, st.just(""), st.just("$binary"))
    return st.one_of(st.lists(inner, max_size=4), st.dictionaries(nested_names, inner, max_size=4))


values = st.recursive(scalars, nested, max_leaves=8)
contexts = st.dictionaries(
    st.one_of(st.sampled_from(["/", "/shop", "/a.b", "$", "/%2E"]), names),
    st.dictionaries(names, values, max_size=3),
    max_size=3,
)

# Each example is a session of its own in the same store.
examples = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def exact(value: Json) -> str:
    """The value as a text in which 1, 1.0 and true differ, and -0.0 and 0.0 do."""
    return json.dumps(value, sort_keys=True, default=dict)


@examples
@given(contexts=contexts)
async def test_what_is_inserted_comes_back(
    store: SessionStore, contexts: dict[str, dict[str, Json]]
) -> None:
    session = await inserted(store, fresh_key(), contexts=contexts)

    found = await stored_session(store, session.key)

    assert exact(found.contexts) == exact(contexts)
    assert found == session


@examples
@given(before=contexts, attributes=st.dictionaries(names, values, max_size=3))
async def test_what_is_set_comes_back(
    store: SessionStore,
    before: dict[str, dict[str, Json]],
    attributes: dict[str, Json],
) -> None:
    session = await inserted(store, fresh_key(), contexts=before)
    change = with_attributes(session, attributes)

    assert await written(store, change) is Outcome.APPLIED

    found = await stored_session(store, session.key)
    assert exact(found.contexts) == exact(change.after.contexts)


@examples
@given(attributes=st.dictionaries(names, values, min_size=1, max_size=6))
async def test_what_is_unset_is_gone_and_nothing_else(
    store: SessionStore, attributes: dict[str, Json]
) -> None:
    session = await inserted(store, fresh_key(), contexts={"/": attributes})
    unset = sorted(attributes)[::2]
    change = with_attributes(session, {}, unset=unset)

    assert await written(store, change) is Outcome.APPLIED

    found = await stored_session(store, session.key)
    assert exact(found.contexts) == exact({"/": _without(attributes, unset)})


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: {"": v}], ids=["lists", "objects"])
async def test_values_nest_64_deep(store: SessionStore, wrap: Any) -> None:  # noqa: ANN401
    value: Json = 1
    for _ in range(64):
        value = wrap(value)
    session = a_session(contexts={"/": {"deep": value}})
    await store.insert(session)

    assert (await stored_session(store)).contexts == {"/": {"deep": value}}
    change = with_attributes(session, {"deep too": value})
    assert await written(store, change) is Outcome.APPLIED
    assert (await stored_session(store)).contexts == change.after.contexts


def _without(attributes: dict[str, Json], unset: list[str]) -> dict[str, Json]:
    return {name: value for name, value in attributes.items() if name not in unset}
