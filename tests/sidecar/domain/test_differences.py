import copy
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from hypothesis import given
from moorline_sidecar.domain.changes import Patch
from moorline_sidecar.domain.differences import (
    AttributeChange,
    added_contexts,
    changed_attributes,
)
from moorline_sidecar.domain.merging import UNLIMITED, Asked, merge
from moorline_sidecar.domain.session import Json, Session
from msgspec import structs

from tests.contract.sessions import a_session
from tests.sidecar.domain.drawn import changes, contents, sessions

Contexts = dict[str, dict[str, Any]]


def applied(
    before: Session, changed: Iterable[AttributeChange], added: Mapping[str, Mapping[str, Json]]
) -> Contexts:
    """What a store that does as it is told holds afterwards."""
    result = {context: dict(content) for context, content in before.contexts.items()}
    for change in changed:
        if change.is_set:
            result[change.context][change.name] = change.value
        else:
            del result[change.context][change.name]
    result.update({context: dict(content) for context, content in added.items()})
    return result


def reported(before: Session, after: Session) -> set[tuple[str, str, bool]]:
    return {
        (change.context, change.name, change.is_set) for change in changed_attributes(before, after)
    }


@given(sessions, changes())
def test_the_difference_makes_after_of_before(before: Session, asked: list[Asked]) -> None:
    after = merge(before, asked, UNLIMITED).content
    difference = list(changed_attributes(before, after))

    assert applied(before, difference, added_contexts(before, after)) == after.contexts


@given(sessions, contents)
def test_the_difference_to_any_other_content_is_complete(
    before: Session, content: Contexts
) -> None:
    after = structs.replace(before, contexts={**before.contexts, **content})
    difference = list(changed_attributes(before, after))

    assert applied(before, difference, added_contexts(before, after)) == after.contexts


@given(sessions, changes())
def test_a_change_is_reported_once(before: Session, asked: list[Asked]) -> None:
    after = merge(before, asked, UNLIMITED).content
    places = [(change.context, change.name) for change in changed_attributes(before, after)]

    assert len(places) == len(set(places))


@given(sessions)
def test_a_session_does_not_differ_from_itself(session: Session) -> None:
    assert reported(session, session) == set()
    assert added_contexts(session, session) == {}


BASE = a_session(contexts={"/": {"a": [1], "b": [2]}, "/shop": {"c": 3}})


@pytest.mark.parametrize(
    ("patch", "expected", "new_contexts"),
    [
        pytest.param(Patch(context="/", set={"a": [9]}), {("/", "a", True)}, set(), id="set"),
        pytest.param(Patch(context="/", set={"z": 9}), {("/", "z", True)}, set(), id="add"),
        pytest.param(Patch(context="/", unset=("a",)), {("/", "a", False)}, set(), id="unset"),
        pytest.param(Patch(context="/", unset=("z",)), set(), set(), id="unset absent"),
        pytest.param(
            Patch(context="/", replace={"a": 0}),
            {("/", "a", True), ("/", "b", False)},
            set(),
            id="replace",
        ),
        pytest.param(Patch(context="/new", set={"a": 1}), set(), {"/new"}, id="new context"),
        pytest.param(Patch(context="/", principal="ada"), set(), set(), id="no attribute"),
    ],
)
def test_only_what_changed_is_written(
    patch: Patch, expected: set[tuple[str, str, bool]], new_contexts: set[str]
) -> None:
    after = merge(BASE, [Asked(patch=patch)], UNLIMITED).content

    assert reported(BASE, after) == expected
    assert set(added_contexts(BASE, after)) == new_contexts


@pytest.mark.parametrize(
    ("value", "other"),
    [
        pytest.param(1, 1.0, id="integer and double"),
        pytest.param(1, True, id="number and boolean"),
        pytest.param(0.0, -0.0, id="signs of zero"),
        pytest.param({"a": 1, "b": 2}, {"b": 2, "a": 1}, id="order of names"),
        pytest.param("\u00e9", "e\u0301", id="forms of a character"),
    ],
)
def test_values_that_python_or_people_call_equal_differ(value: Json, other: Json) -> None:
    before, after = ({"/": {"x": each}} for each in (value, other))
    session = a_session(contexts=before)

    assert reported(session, structs.replace(session, contexts=after)) == {("/", "x", True)}


def test_the_same_values_from_another_decoding_do_not_differ() -> None:
    decoded = structs.replace(BASE, contexts=copy.deepcopy(BASE.contexts))

    assert reported(BASE, decoded) == set()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(1, True, id="1 and true"),
        pytest.param(0, False, id="0 and false"),
        pytest.param(1, 1.0, id="integer and double"),
        pytest.param(0.0, -0.0, id="signs of zero"),
        pytest.param([1], [1.0], id="in an array"),
    ],
)
def test_values_that_python_calls_equal_are_written_all_the_same(before: Json, after: Json) -> None:
    old = a_session(contexts={"/": {"a": before}})
    new = merge(old, [Asked(patch=Patch(context="/", set={"a": after}))], UNLIMITED).content

    (change,) = changed_attributes(old, new)
    assert repr(change.value) == repr(after)
