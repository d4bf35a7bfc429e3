from typing import Any

import pytest
from hypothesis import given
from moorline_sidecar.domain.changes import Patch, patched, remembering, stamped
from moorline_sidecar.domain.merging import UNLIMITED
from moorline_sidecar.domain.session import Session
from msgspec import UNSET, structs

from tests.contract.sessions import IDLE, T0, a_session
from tests.sidecar.domain.drawn import sessions
from tests.sidecar.domain.facts import HERE, MINUTE, THERE, a_policy, some_times

Attributes = dict[str, Any]
BEFORE: Attributes = {"user": "ada", "cart": [1, 2], "visits": 3}


def changed(before: Session, **members: Any) -> Session:  # noqa: ANN401 the members of a patch
    return patched(before, Patch(context="/shop", **members), UNLIMITED)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        pytest.param({"set": {"user": "eve"}}, BEFORE | {"user": "eve"}, id="set known"),
        pytest.param({"set": {"theme": None}}, BEFORE | {"theme": None}, id="null is a value"),
        pytest.param({"set": {"cart": []}}, BEFORE | {"cart": []}, id="values are not merged"),
        pytest.param({"unset": ("cart", "user")}, {"visits": 3}, id="unset"),
        pytest.param({"unset": ("absent",)}, BEFORE, id="unset absent"),
        pytest.param({"unset": ("cart", "cart")}, {"user": "ada", "visits": 3}, id="unset twice"),
        pytest.param({"increment": {"visits": 2}}, BEFORE | {"visits": 5}, id="increment"),
        pytest.param({"replace": {}}, {}, id="replace by nothing"),
        pytest.param({"replace": {"a": 1}}, {"a": 1}, id="replace"),
        pytest.param({"replace": {"a": 1}, "set": {"b": 2}}, {"a": 1, "b": 2}, id="then set"),
        pytest.param({"replace": {"a": 1}, "unset": ("a",)}, {}, id="then unset"),
        pytest.param({"replace": {"a": 1}, "increment": {"a": 1}}, {"a": 2}, id="then increment"),
        pytest.param(
            {"replace": {}, "increment": {"visits": 2}},
            {"visits": 2},
            id="an increment does not see what was replaced",
        ),
        pytest.param(
            {"set": {"a": 1}, "unset": ("user", "cart"), "increment": {"visits": 1}},
            {"a": 1, "visits": 4},
            id="all at once",
        ),
    ],
)
def test_a_patch_changes_the_attributes_of_its_context(
    members: dict[str, Any], expected: Attributes
) -> None:
    before = a_session(contexts={"/shop": BEFORE})

    assert changed(before, **members).contexts == {"/shop": expected}


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"set": {"user": "eve"}}, id="set"),
        pytest.param({"unset": ("user",)}, id="unset"),
        pytest.param({"increment": {"visits": 1}}, id="increment"),
        pytest.param({"replace": {}}, id="replace"),
    ],
)
def test_contexts_are_apart(members: dict[str, Any]) -> None:
    before = a_session(contexts={"/": dict(BEFORE), "/shop": dict(BEFORE)})
    after = changed(before, **members)

    assert after.contexts["/"] == before.contexts["/"]
    assert after.contexts["/shop"] != BEFORE


def test_a_context_begins_with_its_first_attribute() -> None:
    after = changed(a_session(contexts={"/": {"a": 1}}), set={"b": 2})

    assert after.contexts == {"/": {"a": 1}, "/shop": {"b": 2}}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        pytest.param({"principal": "ada"}, {"principal": "ada"}, id="principal"),
        pytest.param({"principal": None}, {"principal": None}, id="no principal"),
        pytest.param({"max_idle_ms": 5}, {"max_idle_ms": 5}, id="maxIdle"),
        pytest.param({"max_idle_ms": 0}, {"max_idle_ms": 0}, id="never idle"),
    ],
)
def test_what_is_about_the_session_leaves_its_content(
    members: dict[str, Any], expected: dict[str, Any]
) -> None:
    before = a_session(principal="eve")

    assert changed(before, **members) == structs.replace(before, **expected)


def test_a_patch_leaves_version_and_times() -> None:
    before = a_session()
    after = changed(before, set={"a": 1}, max_idle_ms=5, principal="ada")

    assert structs.replace(
        after, contexts=before.contexts, max_idle_ms=IDLE, principal=None
    ) == structs.replace(before)


@given(sessions)
def test_an_empty_patch_is_nothing(before: Session) -> None:
    assert Patch(context="/").is_empty
    assert patched(before, Patch(context="/"), 0) is before


@pytest.mark.parametrize(
    "patch",
    [
        pytest.param(Patch(context="/", replace={}), id="replace by nothing"),
        pytest.param(Patch(context="/", set={"a": None}), id="null"),
        pytest.param(Patch(context="/", unset=("a",)), id="unset"),
        pytest.param(Patch(context="/", increment={"a": 0}), id="increment by nothing"),
        pytest.param(Patch(context="/", max_idle_ms=0), id="never idle"),
        pytest.param(Patch(context="/", principal=None), id="no principal"),
    ],
)
def test_a_patch_with_any_member_is_not_empty(patch: Patch) -> None:
    assert not patch.is_empty


def test_members_that_are_left_out_are_unset() -> None:
    assert Patch(context="/").max_idle_ms is UNSET
    assert Patch(context="/").principal is UNSET


def stamped_at(session: Session, now: int, *, is_access: bool = True, **known: object) -> Session:
    """Written by a worker that knows these times."""
    return stamped(
        session,
        version=session.version + 1,
        write_id="w",
        policy=a_policy(),
        times=some_times(own_last_accessed=T0 - 1, **known),
        now=now,
        is_access=is_access,
    )


def test_a_change_is_an_access_with_a_version_of_its_own() -> None:
    before = a_session(last_node=THERE)
    now = T0 + MINUTE

    assert stamped_at(before, now) == structs.replace(
        before,
        version=before.version + 1,
        write_id="w",
        last_accessed=T0,
        accessed=now,
        expiry=now + IDLE,
        last_node=HERE,
        last_saved=now,
    )


def test_a_save_in_the_background_is_no_access() -> None:
    now = T0 + 10 * MINUTE
    after = stamped_at(a_session(), now, is_access=False, own_accessed=T0 + MINUTE)

    assert (after.last_accessed, after.accessed) == (T0 - 1, T0 + MINUTE)
    assert after.expiry == T0 + MINUTE + IDLE
    assert after.last_saved == now


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"max_idle_ms": 5}, T0 + MINUTE + 5, id="a new maxIdle counts from now"),
        pytest.param({"max_idle_ms": 0}, None, id="never"),
        pytest.param({"deadline": T0 + IDLE}, T0 + IDLE, id="the deadline stays"),
        pytest.param({"max_idle_ms": 0, "deadline": T0 + IDLE}, T0 + IDLE, id="deadline only"),
    ],
)
def test_a_write_recomputes_the_expiry(fields: dict[str, Any], expected: int | None) -> None:
    assert stamped_at(a_session(**fields), T0 + MINUTE).expiry == expected


def test_an_access_that_is_not_written_yet_is_the_last_one_before_the_write() -> None:
    after = stamped_at(a_session(), T0 + MINUTE, own_accessed=T0 + 7)

    assert (after.last_accessed, after.accessed) == (T0 + 7, T0 + MINUTE)


@pytest.mark.parametrize("is_access", [True, False])
def test_a_clock_that_went_back_does_not_take_the_access_back(*, is_access: bool) -> None:
    after = stamped_at(a_session(), T0 - MINUTE, is_access=is_access, own_accessed=T0 + MINUTE)

    assert after.accessed == T0 + MINUTE
    assert after.expiry == T0 + MINUTE + IDLE


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        pytest.param((), ("new",), id="first"),
        pytest.param(("a", "b"), ("a", "b", "new"), id="newest last"),
        pytest.param(
            tuple(f"k{n}" for n in range(15)),
            (*(f"k{n}" for n in range(15)), "new"),
            id="sixteenth",
        ),
        pytest.param(
            tuple(f"k{n}" for n in range(16)),
            (*(f"k{n}" for n in range(1, 16)), "new"),
            id="seventeenth pushes out the oldest",
        ),
    ],
)
def test_a_session_remembers_16_idempotency_keys(
    known: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert remembering(a_session(recent=known), "new").recent == expected
