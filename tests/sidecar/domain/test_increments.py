import sys
from typing import Any

import pytest
from moorline_sidecar.domain.changes import Patch, patched
from moorline_sidecar.domain.merging import UNLIMITED
from moorline_sidecar.domain.session import Json
from moorline_sidecar.errors import InvalidValue

from tests.contract.sessions import a_session

MOST = (1 << 63) - 1
LEAST = -(1 << 63)
HUGE = sys.float_info.max


def incremented(attributes: dict[str, Any], amount: float, name: str = "n") -> Json:
    patch = Patch(context="/", increment={name: amount})
    return patched(a_session(contexts={"/": attributes}), patch, UNLIMITED).contexts["/"][name]


@pytest.mark.parametrize(
    ("attributes", "amount", "expected"),
    [
        pytest.param({}, 1, 1, id="absent starts at 0"),
        pytest.param({}, -1, -1, id="absent, downwards"),
        pytest.param({}, 0, 0, id="absent, by nothing"),
        pytest.param({}, 1.5, 1.5, id="absent, by a double"),
        pytest.param({"n": 5}, 2, 7, id="integers"),
        pytest.param({"n": 5}, -7, -2, id="downwards"),
        pytest.param({"n": 5}, 0.5, 5.5, id="integer and double"),
        pytest.param({"n": 5}, 2.0, 7.0, id="integer and whole double"),
        pytest.param({"n": 0.5}, 2, 2.5, id="double and integer"),
        pytest.param({"n": 0.5}, 0.25, 0.75, id="doubles"),
        pytest.param({"n": MOST - 1}, 1, MOST, id="up to the greatest integer"),
        pytest.param({"n": LEAST + 1}, -1, LEAST, id="down to the least integer"),
        pytest.param({"n": LEAST}, MOST, -1, id="across"),
        pytest.param({"n": MOST}, 1.0, float(1 << 63), id="a double may be greater"),
        pytest.param({"n": 1 << 53}, 1, (1 << 53) + 1, id="exact where a double is not"),
        pytest.param({"n": HUGE}, -HUGE, 0.0, id="doubles across"),
    ],
)
def test_an_increment_adds_and_keeps_the_kind(
    attributes: dict[str, Any], amount: float, expected: float
) -> None:
    total = incremented(attributes, amount)

    assert total == expected
    assert type(total) is type(expected)


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        pytest.param(True, 1, id="true"),
        pytest.param(False, 1, id="false"),
        pytest.param(None, 1, id="null"),
        pytest.param("5", 1, id="string"),
        pytest.param([1], 1, id="array"),
        pytest.param({"a": 1}, 1, id="object"),
        pytest.param(MOST, 1, id="beyond the greatest integer"),
        pytest.param(LEAST, -1, id="beyond the least integer"),
        pytest.param(MOST, MOST, id="far beyond the greatest integer"),
        pytest.param(HUGE, HUGE, id="beyond the greatest double"),
        pytest.param(-HUGE, -HUGE, id="beyond the least double"),
    ],
)
def test_what_is_no_number_or_becomes_none_is_refused(value: Json, amount: float) -> None:
    with pytest.raises(InvalidValue) as refused:
        incremented({"n": value}, amount)

    assert refused.value.pointer == "/increment/n"


@pytest.mark.parametrize(
    ("name", "pointer"),
    [
        pytest.param("a/b", "/increment/a~1b", id="slash"),
        pytest.param("a~b", "/increment/a~0b", id="tilde"),
        pytest.param("~1", "/increment/~01", id="what looks escaped"),
        pytest.param("a b%", "/increment/a b%", id="others stay"),
    ],
)
def test_the_refusal_points_at_the_name(name: str, pointer: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        incremented({name: "x"}, 1, name)

    assert refused.value.pointer == pointer


@pytest.mark.parametrize(
    ("value", "kind"),
    [pytest.param(None, "null", id="null"), pytest.param(True, "bool", id="boolean")],
)
def test_the_refusal_says_what_the_attribute_is(value: Json, kind: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        incremented({"n": value}, 1)

    assert kind in refused.value.detail


def test_one_bad_increment_refuses_the_whole_patch() -> None:
    patch = Patch(context="/", set={"a": 1}, increment={"n": 1, "user": 1})
    before = a_session(contexts={"/": {"user": "ada", "n": 1}})

    with pytest.raises(InvalidValue):
        patched(before, patch, UNLIMITED)

    assert before.contexts == {"/": {"user": "ada", "n": 1}}
