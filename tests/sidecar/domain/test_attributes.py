import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moorline_sidecar.domain.attributes import (
    NESTING_MAX,
    check_attributes,
    check_context,
    check_name,
    check_principal,
    check_value,
    escaped,
    json_size,
)
from moorline_sidecar.domain.session import Json
from moorline_sidecar.errors import InvalidRequest, InvalidValue

MOST = (1 << 63) - 1
LEAST = -(1 << 63)


def nested(depth: int, *, as_object: bool = False, inner: Json = 1) -> Json:
    """A value with so many containers in one another."""
    value = inner
    for _ in range(depth):
        value = {"k": value} if as_object else [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(None, id="null"),
        pytest.param(False, id="boolean"),
        pytest.param(MOST, id="greatest integer"),
        pytest.param(LEAST, id="least integer"),
        pytest.param(1e308, id="a double beyond the integers"),
        pytest.param("", id="empty string"),
        pytest.param("a\0b", id="NUL"),
        pytest.param({}, id="empty object"),
        pytest.param({"": 1}, id="empty nested key"),
        pytest.param({"$where": 1, "a.b": 2}, id="keys that mean something to a database"),
        pytest.param({"$binary": {"base64": "AA==", "subType": "00"}}, id="binary"),
        pytest.param(nested(NESTING_MAX), id="arrays, 64 deep"),
        pytest.param(nested(NESTING_MAX, as_object=True), id="objects, 64 deep"),
        pytest.param({"a": [1] * 10_000}, id="wide"),
        pytest.param("x" * 100_000, id="long"),
    ],
)
def test_an_attribute_can_have_any_json_value_within_the_bounds(value: Json) -> None:
    check_value(value, "/set/a")


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        pytest.param(MOST + 1, "", id="beyond the greatest integer"),
        pytest.param(LEAST - 1, "", id="beyond the least integer"),
        pytest.param([0, MOST + 1], "/1", id="in an array"),
        pytest.param({"b/c": [{"~": MOST + 1}]}, "/b~1c/0/~0", id="in objects"),
        pytest.param({"": {"": MOST + 1}}, "//", id="under empty keys"),
        pytest.param(nested(65), "/0" * 64, id="arrays, 65 deep"),
        pytest.param(nested(65, as_object=True), "/k" * 64, id="objects, 65 deep"),
        pytest.param(nested(64, inner=[]), "/0" * 64, id="the innermost may be empty"),
    ],
)
def test_the_first_value_beyond_the_bounds_is_pointed_at(value: Json, pointer: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        check_value(value, "/set/a")

    assert refused.value.pointer == f"/set/a{pointer}"


def test_a_value_that_nests_without_end_is_refused_without_recursion() -> None:
    with pytest.raises(InvalidValue):
        check_value(nested(100_000), "")


@pytest.mark.parametrize("check", [check_name, check_principal])
@pytest.mark.parametrize(
    ("text", "is_refused"),
    [
        pytest.param("", True, id="empty"),
        pytest.param("n", False, id="shortest"),
        pytest.param("n" * 256, False, id="longest"),
        pytest.param("n" * 257, True, id="one too long"),
        pytest.param("\xe9" * 128, False, id="longest in two bytes each"),
        pytest.param("\xe9" * 128 + "n", True, id="one too long in two bytes each"),
        pytest.param("\U0001f600" * 64, False, id="longest in four bytes each"),
        pytest.param("\U0001f600" * 65, True, id="too long in four bytes each"),
        pytest.param("$where", False, id="dollar"),
        pytest.param("a.b/c d\0", False, id="dot, slash, space and NUL"),
    ],
)
def test_names_and_principals_have_1_to_256_bytes(
    check: Callable[[str, str], None], text: str, *, is_refused: bool
) -> None:
    if not is_refused:
        check(text, "/at")
        return
    with pytest.raises(InvalidValue) as refused:
        check(text, "/at")
    assert refused.value.pointer == "/at"


@pytest.mark.parametrize(
    ("text", "is_refused"),
    [
        pytest.param("", True, id="empty"),
        pytest.param("/", False, id="default"),
        pytest.param("c" * 128, False, id="longest"),
        pytest.param("c" * 129, True, id="one too long"),
        pytest.param("\xe9" * 65, True, id="too long in two bytes each"),
    ],
)
def test_a_context_has_1_to_128_bytes(text: str, *, is_refused: bool) -> None:
    if not is_refused:
        check_context(text)
        return
    with pytest.raises(InvalidRequest) as refused:
        check_context(text)
    assert refused.value.problem == "invalid-context"


def test_attributes_are_refused_by_name_and_by_value() -> None:
    check_attributes({}, "/set")
    with pytest.raises(InvalidValue) as by_name:
        check_attributes({"a": 1, "": 1}, "/set")
    with pytest.raises(InvalidValue) as by_value:
        check_attributes({"a": 1, "b": [MOST + 1]}, "/set")

    assert (by_name.value.pointer, by_value.value.pointer) == ("/set/", "/set/b/0")


@given(st.text(max_size=20))
def test_an_escaped_name_is_one_segment_and_comes_back(name: str) -> None:
    # RFC 6901, 4: first ~1, then ~0.
    assert "/" not in escaped(name)
    assert escaped(name).replace("~1", "/").replace("~0", "~") == name


@pytest.mark.parametrize("value", [None, {"a": [1, 2.5]}, "\xe9\u2028\U0001f600"])
def test_the_size_is_that_of_compact_json(value: Json) -> None:
    compact = json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    assert json_size(value) == len(compact.encode())
