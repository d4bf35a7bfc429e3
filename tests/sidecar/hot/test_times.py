from copy import copy
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moorline_sidecar.hot import plain

from tests.sidecar.domain.facts import fields_of

WHOLE = ("own_accessed", "stored_accessed", "max_idle_ms", "own_last_accessed", "calm_until")
OPTIONAL = ("own_expiry", "stored_expiry", "deadline")
COUNTS = ("used_at", "frequency")
FLAGS = ("is_queued", "is_in_flight")
REQUIRED = plain.Times.__match_args__[:7]
EXPECTED = {
    "own_accessed": 1,
    "own_expiry": None,
    "stored_accessed": 3,
    "stored_expiry": 4,
    "stored_node": "node5",
    "deadline": 6,
    "max_idle_ms": 7,
    "own_last_accessed": 0,
    "calm_until": 0,
    "is_queued": False,
    "is_in_flight": False,
    "used_at": 0,
    "frequency": 0,
}

numbers = st.integers(-(2**63) + 1, 2**63 - 1)
fields = st.fixed_dictionaries(
    {
        **dict.fromkeys((*WHOLE, *COUNTS), numbers),
        **dict.fromkeys(OPTIONAL, numbers | st.none()),
        **dict.fromkeys(FLAGS, st.booleans()),
        "stored_node": st.text(max_size=3),
    }
)


def test_those_of_a_copy_have_been_moved_by_nobody(implementation: ModuleType) -> None:
    times = implementation.Times(1, None, 3, 4, "node5", 6, 7)

    assert fields_of(times) == EXPECTED


def test_both_take_them_in_the_same_order(implementation: ModuleType) -> None:
    given_fields = {**EXPECTED, "own_last_accessed": 8, "calm_until": 9, "is_queued": True}
    given_fields |= {"used_at": 12, "frequency": 13}

    assert fields_of(implementation.Times(*given_fields.values())) == given_fields


@given(given_fields=fields)
def test_what_is_given_is_what_is_there(
    implementation: ModuleType, given_fields: dict[str, Any]
) -> None:
    times = implementation.Times(**given_fields)

    assert fields_of(times) == given_fields


@given(before=fields, after=fields)
def test_a_copy_goes_its_own_way(
    implementation: ModuleType, before: dict[str, Any], after: dict[str, Any]
) -> None:
    times = implementation.Times(**before)
    other = copy(times)
    assert fields_of(other) == before

    for name, value in after.items():
        setattr(other, name, value)

    assert (fields_of(times), fields_of(other)) == (before, after)
    assert times != other


@pytest.mark.parametrize("name", REQUIRED)
def test_none_of_the_facts_may_be_left_out(implementation: ModuleType, name: str) -> None:
    with pytest.raises(TypeError):
        implementation.Times(**{each: EXPECTED[each] for each in REQUIRED if each != name})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, 1.5) for name in (*WHOLE, *OPTIONAL, *COUNTS)),
        *((name, "7") for name in (*WHOLE, *OPTIONAL, *COUNTS)),
        *((name, 1) for name in FLAGS),
        ("stored_node", b"node5"),
    ],
)
def test_compiled_times_hold_nothing_else(compiled: ModuleType, name: str, value: object) -> None:
    times = compiled.Times(**EXPECTED)

    with pytest.raises(TypeError):
        setattr(times, name, value)
    with pytest.raises((TypeError, AttributeError)):
        delattr(times, name)

    assert fields_of(times) == EXPECTED


@pytest.mark.parametrize("name", [*WHOLE, *OPTIONAL, *COUNTS])
@pytest.mark.parametrize(
    ("number", "expected"),
    [
        pytest.param(2**63, 2**63 - 1, id="too large"),
        pytest.param(2**200, 2**63 - 1, id="much too large"),
        pytest.param(-(2**63), 1 - 2**63, id="what stands for None"),
        pytest.param(-(2**200), 1 - 2**63, id="much too small"),
    ],
)
def test_what_others_may_have_stored_is_the_nearest_that_compiled_times_hold(
    compiled: ModuleType, name: str, number: int, expected: int
) -> None:
    times = compiled.Times(**{**EXPECTED, name: number})
    assert getattr(times, name) == expected

    setattr(times, name, 0)
    setattr(times, name, number)

    assert getattr(times, name) == expected
