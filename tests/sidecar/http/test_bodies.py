"""What a body is refused for: no JSON, not what the route takes, or a value no session can hold."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moorline_sidecar.errors import InvalidRequest, InvalidValue

from tests.sidecar.http.readers import (
    OBJECT_READERS,
    READERS,
    Reader,
    create,
    patch,
    put_attribute,
    put_attributes,
    renew,
    replace,
)

MALFORMED_JSON = "malformed-json"
MALFORMED_REQUEST = "malformed-request"


def refusal(read: Reader, body: bytes) -> str:
    """The name of the problem with status 400."""
    with pytest.raises(InvalidRequest) as refused:
        read(body)
    return refused.value.problem


NO_JSON = [
    pytest.param(b" ", id="space"),
    pytest.param(b"nul", id="cut off word"),
    pytest.param(b"None", id="Python"),
    pytest.param(b"NaN", id="NaN"),
    pytest.param(b"Infinity", id="Infinity"),
    pytest.param(b"-Infinity", id="minus Infinity"),
    pytest.param(b"1e400", id="beyond a double"),
    pytest.param(b"-1e400", id="below a double"),
    pytest.param(b"01", id="leading zero"),
    pytest.param(b"+1", id="plus sign"),
    pytest.param(b".5", id="no digit before the point"),
    pytest.param(b"1.", id="no digit behind the point"),
    pytest.param(b"1e", id="no exponent"),
    pytest.param(b"-", id="only a sign"),
    pytest.param(b"0x1", id="hexadecimal"),
    pytest.param(b"1_000", id="underscore"),
    pytest.param(b'"a', id="open string"),
    pytest.param(b"'a'", id="single quotes"),
    pytest.param(b'"\\ud800"', id="lone high surrogate"),
    pytest.param(b'"\\udc00"', id="lone low surrogate"),
    pytest.param(b'"\\ud800\\u0041"', id="half a pair"),
    pytest.param(b'"\\udc00\\ud800"', id="a pair turned round"),
    pytest.param(b'"\xed\xa0\x80"', id="surrogate in UTF-8"),
    pytest.param(b'"\xff"', id="not UTF-8"),
    pytest.param(b'"\xc0\x80"', id="overlong NUL"),
    pytest.param(b'"\\x41"', id="unknown escape"),
    pytest.param(b'"\\u12"', id="short escape"),
    pytest.param(b'"\t"', id="raw control character"),
    pytest.param(b"[1, 2", id="open array"),
    pytest.param(b"[1,]", id="trailing comma"),
    pytest.param(b"[1 2]", id="no comma"),
    pytest.param(b'{"a": 1', id="open object"),
    pytest.param(b'{"a": 1,}', id="trailing comma in an object"),
    pytest.param(b'{"a" 1}', id="no colon"),
    pytest.param(b"{a: 1}", id="name without quotes"),
    pytest.param(b"{1: 1}", id="number as a name"),
    pytest.param(b'{"\\ud800": 1}', id="lone surrogate in a name"),
    pytest.param(b"{} {}", id="two values"),
    pytest.param(b"{}x", id="trailing garbage"),
    pytest.param(b"{}\0", id="trailing NUL"),
    pytest.param(b"\xef\xbb\xbf{}", id="byte order mark"),
    pytest.param("{}".encode("utf-16"), id="UTF-16"),
    pytest.param(b"// no\n{}", id="comment"),
    pytest.param(b"a=1", id="form"),
    pytest.param(b"\0", id="NUL"),
]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("body", NO_JSON)
def test_a_body_that_is_no_json_is_malformed_json(read: Reader, body: bytes) -> None:
    assert refusal(read, body) == MALFORMED_JSON


@pytest.mark.parametrize("read", OBJECT_READERS)
@pytest.mark.parametrize("body", NO_JSON[3:6] + NO_JSON[18:26])
def test_syntax_comes_before_form(read: Reader, body: bytes) -> None:
    # A broken value in a member that the route does not take, too.
    assert refusal(read, b'{"nobody knows this": ' + body + b"}") == MALFORMED_JSON


@pytest.mark.parametrize("read", [patch, put_attributes, put_attribute])
def test_where_a_body_is_needed_an_empty_one_is_malformed_json(read: Reader) -> None:
    assert refusal(read, b"") == MALFORMED_JSON


@pytest.mark.parametrize("read", [create, replace, renew])
def test_where_a_body_is_optional_an_empty_one_asks_for_nothing(read: Reader) -> None:
    assert read(b"") == read(b"{}")


@pytest.mark.parametrize("read", OBJECT_READERS)
@pytest.mark.parametrize("body", [b"null", b"[]", b"1", b'"x"', b"true", b"1.5"])
def test_a_body_that_is_no_object_is_a_malformed_request(read: Reader, body: bytes) -> None:
    assert refusal(read, body) == MALFORMED_REQUEST


@pytest.mark.parametrize(
    ("read", "body"),
    [
        pytest.param(create, b'{"attributes": null}', id="create-attributes null"),
        pytest.param(create, b'{"attributes": []}', id="create-attributes array"),
        pytest.param(create, b'{"set": {}}', id="create-a member of PATCH"),
        pytest.param(create, b'{"id": "x"}', id="create-a member of renew"),
        pytest.param(create, b'{"maxIdleSeconds": null}', id="create-maxIdleSeconds null"),
        pytest.param(create, b'{"maxIdleSeconds": "1"}', id="create-maxIdleSeconds string"),
        pytest.param(create, b'{"maxIdleSeconds": true}', id="create-maxIdleSeconds boolean"),
        pytest.param(create, b'{"max_idle_seconds": 1}', id="create-underscores"),
        pytest.param(create, b'{"Attributes": {}}', id="create-upper case"),
        pytest.param(create, b'{"principal": 1}', id="create-principal number"),
        pytest.param(create, b'{"principal": ["ada"]}', id="create-principal array"),
        pytest.param(replace, b'{"attributes": null}', id="replace-attributes null"),
        pytest.param(replace, b'{"unset": []}', id="replace-a member of PATCH"),
        pytest.param(patch, b'{"set": null}', id="patch-set null"),
        pytest.param(patch, b'{"set": []}', id="patch-set array"),
        pytest.param(patch, b'{"unset": {}}', id="patch-unset object"),
        pytest.param(patch, b'{"unset": "a"}', id="patch-unset string"),
        pytest.param(patch, b'{"unset": [1]}', id="patch-unset numbers"),
        pytest.param(patch, b'{"unset": [null]}', id="patch-unset null"),
        pytest.param(patch, b'{"increment": []}', id="patch-increment array"),
        pytest.param(patch, b'{"increment": {"a": "1"}}', id="patch-increment string"),
        pytest.param(patch, b'{"increment": {"a": true}}', id="patch-increment boolean"),
        pytest.param(patch, b'{"increment": {"a": null}}', id="patch-increment null"),
        pytest.param(patch, b'{"increment": {"a": {}}}', id="patch-increment object"),
        pytest.param(patch, b'{"attributes": {}}', id="patch-a member of create"),
        pytest.param(patch, b'{"id": "x"}', id="patch-a member of renew"),
        pytest.param(patch, b'{"replace": {}}', id="patch-a member of nobody"),
        pytest.param(patch, b'{"": 1}', id="patch-empty member"),
        pytest.param(renew, b'{"id": 1}', id="renew-id number"),
        pytest.param(renew, b'{"newId": "x"}', id="renew-unknown member"),
    ],
)
def test_unknown_members_and_wrong_types_are_a_malformed_request(read: Reader, body: bytes) -> None:
    assert refusal(read, body) == MALFORMED_REQUEST


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * 100_000 + b"]" * 100_000, id="arrays"),
        pytest.param(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, id="objects"),
        pytest.param(b"[" * 100_000, id="arrays, cut off"),
        pytest.param(b'{"set":' + b"[" * 100_000 + b"]" * 100_000 + b"}", id="arrays in a member"),
    ],
)
def test_endless_nesting_is_refused_like_any_other_mistake(read: Reader, body: bytes) -> None:
    with pytest.raises((InvalidRequest, InvalidValue)):
        read(body)


@pytest.mark.parametrize("read", READERS)
@given(body=st.binary(max_size=30))
def test_whatever_the_body_is_it_is_read_or_refused(read: Reader, body: bytes) -> None:
    for whole in (body, b'{"set":' + body + b"}", b'{"attributes":{"a":' + body + b"}}"):
        with contextlib.suppress(InvalidRequest, InvalidValue):
            read(whole)
