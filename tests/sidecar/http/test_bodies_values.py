"""What bodies say, and the values of theirs that no session can hold."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moorline_sidecar.domain.changes import Patch
from moorline_sidecar.errors import InvalidValue
from moorline_sidecar.http import bodies

from tests.sidecar.http.readers import (
    Reader,
    create,
    patch,
    put_attribute,
    put_attributes,
    renew,
    replace,
)

TOO_GREAT = b"9223372036854775808"
TOO_LITTLE = b"-9223372036854775809"
LONGEST = b"n" * 256


def refused_at(read: Reader, body: bytes) -> str:
    """The JSON pointer of the value that is refused with 422."""
    with pytest.raises(InvalidValue) as refused:
        read(body)
    return refused.value.pointer


@pytest.mark.parametrize(
    ("read", "body", "expected"),
    [
        pytest.param(create, b"{}", Patch(context="/"), id="create-nothing"),
        pytest.param(
            create,
            b'{"attributes": {"a": 1}, "maxIdleSeconds": 5, "principal": "ada"}',
            Patch(context="/", set={"a": 1}, max_idle_ms=5_000, principal="ada"),
            id="create-all",
        ),
        pytest.param(replace, b"{}", Patch(context="/"), id="replace-absent members stay"),
        pytest.param(
            replace, b'{"attributes": {}}', Patch(context="/", replace={}), id="replace-by nothing"
        ),
        pytest.param(
            replace, b'{"principal": null}', Patch(context="/", principal=None), id="replace-one"
        ),
        pytest.param(patch, b"{}", Patch(context="/"), id="patch-nothing"),
        pytest.param(
            patch,
            b'{"set": {"a": null}, "unset": ["b"], "increment": {"c": 1, "d": 0.5}}',
            Patch(context="/", set={"a": None}, unset=("b",), increment={"c": 1, "d": 0.5}),
            id="patch-attributes",
        ),
        pytest.param(
            patch, b'{"principal": null}', Patch(context="/", principal=None), id="patch-principal"
        ),
        pytest.param(
            patch, b'{"maxIdleSeconds": 0}', Patch(context="/", max_idle_ms=0), id="patch-never"
        ),
        pytest.param(
            patch, b'{"unset": ["a", "a"]}', Patch(context="/", unset=("a", "a")), id="patch-twice"
        ),
        pytest.param(renew, b"", (Patch(context="/"), None), id="renew-nothing"),
        pytest.param(renew, b'{"id": null}', (Patch(context="/"), None), id="renew-no id"),
        pytest.param(
            renew,
            b'{"id": "x", "set": {"a": 1}, "principal": "ada"}',
            (Patch(context="/", set={"a": 1}, principal="ada"), "x"),
            id="renew-all",
        ),
        pytest.param(put_attributes, b"{}", Patch(context="/", replace={}), id="attributes-none"),
        pytest.param(
            put_attributes, b'{"a": [1]}', Patch(context="/", replace={"a": [1]}), id="attributes"
        ),
        pytest.param(
            put_attribute, b"null", Patch(context="/", set={"a": None}), id="attribute-null"
        ),
        pytest.param(put_attribute, b" 1 ", Patch(context="/", set={"a": 1}), id="attribute"),
    ],
)
def test_a_body_says_what_to_change(read: Reader, body: bytes, expected: object) -> None:
    assert read(body) == expected


@pytest.mark.parametrize(
    ("read", "body", "pointer"),
    [
        pytest.param(put_attribute, b"%b", "", id="attribute"),
        pytest.param(put_attribute, b"[0, %b]", "/1", id="attribute, inside"),
        pytest.param(put_attributes, b'{"a/b": %b}', "/a~1b", id="attributes"),
        pytest.param(create, b'{"attributes": {"a": [%b]}}', "/attributes/a/0", id="create"),
        pytest.param(replace, b'{"attributes": {"~": %b}}', "/attributes/~0", id="replace"),
        pytest.param(patch, b'{"set": {"a": {"b": %b}}}', "/set/a/b", id="patch-set"),
        pytest.param(patch, b'{"increment": {"a": %b}}', "/increment/a", id="patch-increment"),
        pytest.param(renew, b'{"set": {"a": %b}}', "/set/a", id="renew"),
    ],
)
@pytest.mark.parametrize(
    "integer",
    [
        pytest.param(TOO_GREAT, id="beyond the greatest"),
        pytest.param(TOO_LITTLE, id="beyond the least"),
        pytest.param(b"1" + b"0" * 30, id="far beyond"),
    ],
)
def test_an_integer_beyond_64_bits_is_pointed_at(
    read: Reader, body: bytes, pointer: str, integer: bytes
) -> None:
    assert refused_at(read, body % integer) == pointer


@pytest.mark.parametrize("digits", [4_000, 5_000, 100_000])
def test_an_integer_may_have_any_number_of_digits_and_is_beyond_64_bits_all_the_same(
    digits: int,
) -> None:
    with pytest.raises(InvalidValue):
        patch(b'{"set": {"a": %b}}' % (b"7" * digits))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(b"9223372036854775807", 2**63 - 1, id="greatest integer"),
        pytest.param(b"-9223372036854775808", -(2**63), id="least integer"),
        pytest.param(b"9223372036854775808.0", 2.0**63, id="a double may be greater"),
        pytest.param(b"1e3", 1000.0, id="an exponent makes a double"),
        pytest.param(b"1.0", 1.0, id="a point makes a double"),
        pytest.param(b"1e-400", 0.0, id="too small for a double"),
        pytest.param(b'"\\ud83d\\ude00"', "\U0001f600", id="a pair of surrogates"),
        pytest.param(b'"\\u0000"', "\0", id="NUL"),
        pytest.param(b'{"a": 1, "a": 2}', {"a": 2}, id="the last of a name"),
    ],
)
def test_values_keep_their_kind(text: bytes, expected: object) -> None:
    read = bodies.attribute(text, "/", "a").set["a"]

    assert read == expected
    assert type(read) is type(expected)


@pytest.mark.parametrize("brackets", [(b"[", b"]"), (b'{"k":', b"}")], ids=["arrays", "objects"])
def test_values_nest_64_deep(brackets: tuple[bytes, bytes]) -> None:
    opening, closing = brackets
    step = "/0" if opening == b"[" else "/k"
    at_limit = opening * 64 + b"1" + closing * 64
    beyond = opening + at_limit + closing

    for read, body in [
        (put_attribute, b"%b"),
        (patch, b'{"set": {"a": %b}}'),
        (create, b'{"attributes": {"a": %b}}'),
    ]:
        read(body % at_limit)
        assert refused_at(read, body % beyond).endswith(step * 64)
    assert refused_at(patch, b'{"set": {"a": %b}}' % beyond) == "/set/a" + step * 64


@pytest.mark.parametrize(
    ("read", "body", "pointer"),
    [
        pytest.param(patch, b'{"set": {"%b": 1}}', "/set/%b", id="set"),
        pytest.param(patch, b'{"increment": {"%b": 1}}', "/increment/%b", id="increment"),
        pytest.param(patch, b'{"unset": ["ok", "%b"]}', "/unset/1", id="unset"),
        pytest.param(create, b'{"attributes": {"%b": 1}}', "/attributes/%b", id="attributes"),
        pytest.param(put_attributes, b'{"%b": 1}', "/%b", id="map"),
    ],
)
def test_names_have_1_to_256_bytes(read: Reader, body: bytes, pointer: str) -> None:
    for name in (b"n", LONGEST, "\xe9".encode() * 128):
        read(body % name)
    for name in (b"", LONGEST + b"n", "\xe9".encode() * 128 + b"n"):
        assert refused_at(read, body % name) == pointer.replace("%b", name.decode())


@pytest.mark.parametrize("name", ["", "n" * 257, "\xe9" * 129])
def test_a_name_in_the_path_that_no_attribute_can_have_is_refused(name: str) -> None:
    with pytest.raises(InvalidValue):
        bodies.check_attribute_name(name)
    with pytest.raises(InvalidValue):
        bodies.attribute(b"1", "/", name)


@pytest.mark.parametrize("read", [create, replace, patch, renew])
def test_a_principal_has_1_to_256_bytes(read: Reader) -> None:
    read(b'{"principal": "%b"}' % LONGEST)
    for principal in (b"", LONGEST + b"n"):
        assert refused_at(read, b'{"principal": "%b"}' % principal) == "/principal"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        pytest.param(b'{"set": {"a": 1}, "unset": ["b", "a"]}', "/unset/1", id="set, unset"),
        pytest.param(b'{"set": {"a/": 1}, "increment": {"a/": 1}}', "/increment/a~1", id="set, +"),
        pytest.param(b'{"unset": ["a"], "increment": {"a": 1}}', "/unset/0", id="unset, +"),
    ],
)
@pytest.mark.parametrize("read", [patch, renew])
def test_a_name_in_two_members_is_refused(read: Reader, body: bytes, pointer: str) -> None:
    assert refused_at(read, body) == pointer


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(json_values)
def test_every_json_value_within_the_bounds_is_read_as_it_was_written(value: object) -> None:
    read = bodies.attribute(msgspec.json.encode(value), "/", "a").set["a"]

    assert read == value
    assert not isinstance(read, float) or math.copysign(1, read) == math.copysign(1, value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("read", "body", "pointer"),
    [
        pytest.param(patch, b'{"set": {"a": 1, "b/c": %b}}', "/set/b~1c", id="set"),
        pytest.param(patch, b'{"set": {"a": {"x": [1, %b]}}}', "/set/a", id="inside"),
        pytest.param(patch, b'{"increment": {"a": %b}}', "/increment/a", id="increment"),
        pytest.param(patch, b'{"maxIdleSeconds": %b}', "/maxIdleSeconds", id="idle time"),
        pytest.param(create, b'{"attributes": {"a": %b}}', "/attributes/a", id="create"),
        pytest.param(put_attributes, b'{"a": %b}', "/a", id="attributes"),
        pytest.param(put_attribute, b"[%b]", "", id="attribute"),
        pytest.param(patch, b'{"set": {"a": %b, "b": ' + b"[" * 5_000, "", id="before worse"),
        pytest.param(patch, b'{"set": {"a": %b}, "\xff": 1}', "", id="before what is no text"),
    ],
)
def test_the_member_with_an_integer_that_is_too_long_to_decode_is_pointed_at(
    read: Reader, body: bytes, pointer: str
) -> None:
    assert refused_at(read, body % (b"7" * 5_000)) == pointer
