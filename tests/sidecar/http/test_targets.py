import urllib.parse
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moorline_sidecar.errors import InvalidRequest
from moorline_sidecar.http.targets import (
    ROUTES,
    NamedSession,
    Target,
    decoded,
    named_session,
    query_of,
    target_of,
)

A = "A" * 32

SESSION = ("sessions", "{id}")
ATTRIBUTE = ("sessions", "{id}", "attributes", "{name}")
OF_PRINCIPAL = ("principals", "{principal}", "sessions")

texts = st.text(min_size=1, max_size=20)


@pytest.mark.parametrize("route", ROUTES, ids="/".join)
def test_every_route_is_found(route: tuple[str, ...]) -> None:
    path = b"/v1/" + "/".join(route).encode()
    parameters = tuple(part for part in route if part.startswith("{"))

    assert target_of(path) == Target(route, parameters)


@pytest.mark.parametrize(
    ("path", "route", "parameters"),
    [
        pytest.param(f"/v1/sessions/{A}", SESSION, (A,), id="an id"),
        pytest.param(f"/v1/sessions/{A}.node3", SESSION, (f"{A}.node3",), id="a worker suffix"),
        pytest.param(f"/v1/sessions/{A}%2enode3", SESSION, (f"{A}.node3",), id="an encoded dot"),
        pytest.param(f"/v1/sessions/{A}%2ftouch", SESSION, (f"{A}/touch",), id="encoded slash, id"),
        pytest.param("/v1/sessions/%2e%2e", SESSION, ("..",), id="encoded dots are no path"),
        pytest.param("/v1/sessions/..", SESSION, ("..",), id="nor are dots"),
        pytest.param("/v1/sessions/", SESSION, ("",), id="empty id"),
        pytest.param("/v1/sessions/touch", SESSION, ("touch",), id="an id like a verb"),
        pytest.param(
            f"/v1/sessions/{A}/attributes/a%2Fb", ATTRIBUTE, (A, "a/b"), id="encoded slash, name"
        ),
        pytest.param(
            f"/v1/sessions/{A}/attributes/a%252Fb", ATTRIBUTE, (A, "a%2Fb"), id="decoded once"
        ),
        pytest.param(f"/v1/sessions/{A}/attributes/", ATTRIBUTE, (A, ""), id="empty name"),
        pytest.param(
            f"/v1/sessions/{A}/attributes/a+b%20c", ATTRIBUTE, (A, "a+b c"), id="plus is a plus"
        ),
        pytest.param(
            f"/v1/sessions/{A}/attributes/%C3%A9%00", ATTRIBUTE, (A, "\xe9\0"), id="UTF-8 and NUL"
        ),
        pytest.param(f"/v1/sessions/{A}/attributes/a;b=c", ATTRIBUTE, (A, "a;b=c"), id="semicolon"),
        pytest.param(f"/v1/sessions/{A}/attributes/..", ATTRIBUTE, (A, ".."), id="dots as a name"),
        pytest.param(
            "/v1/principals/ada%2Fx%40example.com/sessions",
            OF_PRINCIPAL,
            ("ada/x@example.com",),
            id="a principal",
        ),
        pytest.param("/v1/principals//sessions", OF_PRINCIPAL, ("",), id="empty principal"),
    ],
)
def test_a_path_is_split_before_it_is_decoded(
    path: str, route: tuple[str, ...], parameters: tuple[str, ...]
) -> None:
    assert target_of(path.encode()) == Target(route, parameters)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("", id="empty"),
        pytest.param("/", id="root"),
        pytest.param("*", id="star"),
        pytest.param("/v1", id="prefix without a slash"),
        pytest.param("/v1/", id="prefix"),
        pytest.param("/v2/sessions", id="another version"),
        pytest.param("/V1/sessions", id="upper case"),
        pytest.param("v1/sessions", id="no slash"),
        pytest.param("//v1/sessions", id="two slashes"),
        pytest.param("/v1//sessions", id="empty segment in front"),
        pytest.param("/v1/Sessions", id="upper-case route"),
        pytest.param("/v1/session/", id="trailing slash, session"),
        pytest.param(f"/v1/sessions/{A}/", id="trailing slash, id"),
        pytest.param(f"/v1/sessions/{A}/touch/", id="trailing slash, verb"),
        pytest.param(f"/v1/sessions/{A}//attributes", id="empty segment in between"),
        pytest.param(f"/v1/sessions/{A}/attributes/a/b", id="a slash in a name"),
        pytest.param(f"/v1/sessions/{A}/nothing", id="unknown verb"),
        pytest.param("/v1/session/attributes", id="verb of another route"),
        pytest.param("/v1/principals/ada", id="too short"),
        pytest.param(f"/v1/x/../sessions/{A}", id="dots are not walked"),
        pytest.param("/v1/sessions%2ftouch", id="an encoded slash separates nothing"),
        pytest.param("/healthz", id="another listener's"),
    ],
)
def test_any_other_path_is_no_route(path: str) -> None:
    assert target_of(path.encode()) is None


NOT_UTF_8 = [
    pytest.param(b"%ff", id="no first byte"),
    pytest.param(b"\xff", id="raw"),
    pytest.param(b"%c3", id="cut off"),
    pytest.param(b"%c0%af", id="overlong slash"),
    pytest.param(b"%ed%a0%80", id="surrogate"),
]


@pytest.mark.parametrize("segment", NOT_UTF_8)
def test_what_is_not_utf_8_is_refused(segment: bytes) -> None:
    with pytest.raises(InvalidRequest) as in_path:
        target_of(b"/v1/sessions/" + A.encode() + b"/attributes/" + segment)
    with pytest.raises(InvalidRequest) as in_query:
        query_of(b"context=/a&limit=" + segment)

    assert in_path.value.problem == in_query.value.problem == "malformed-request"


@pytest.mark.parametrize("segment", NOT_UTF_8)
@pytest.mark.parametrize("rest", [b"", b"/touch", b"/attributes/a", b"/attributes/%ff"])
@pytest.mark.parametrize("before", [b"", A.encode() + b".w"], ids=["an id", "its worker"])
def test_an_id_that_is_not_utf_8_is_no_id(before: bytes, rest: bytes, segment: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        target_of(b"/v1/sessions/" + before + segment + rest)

    assert refused.value.problem == "invalid-id"


@pytest.mark.parametrize("segment", NOT_UTF_8)
def test_a_context_in_a_query_that_is_not_utf_8_is_no_context(segment: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        query_of(b"touch=false&context=" + segment)

    assert refused.value.problem == "invalid-context"


@given(texts)
def test_a_name_in_a_path_comes_back(name: str) -> None:
    segment = urllib.parse.quote(name, safe="").encode()
    target = target_of(b"/v1/sessions/" + A.encode() + b"/attributes/" + segment)

    assert target == Target(ATTRIBUTE, (A, name))
    assert decoded(segment) == name


@given(st.binary(max_size=40))
def test_whatever_the_path_is_a_route_no_route_or_refused(path: bytes) -> None:
    for raw in (path, b"/v1/" + path, b"/v1/sessions/" + path):
        try:
            target = target_of(raw)
        except InvalidRequest:
            continue
        assert target is None or target.route in ROUTES


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(b"", {}, id="none"),
        pytest.param(b"touch=false", {"touch": "false"}, id="one"),
        pytest.param(b"a=1&b=2", {"a": "1", "b": "2"}, id="two"),
        pytest.param(b"context=%2Fshop%26x", {"context": "/shop&x"}, id="encoded"),
        pytest.param(b"context=a+b", {"context": "a b"}, id="plus is a space"),
        pytest.param(b"touch=", {"touch": ""}, id="empty value"),
        pytest.param(b"touch", {"touch": ""}, id="no value"),
        pytest.param(b"a=1&a=2", {"a": "2"}, id="the last of a name"),
        pytest.param(b"a=b=c", {"a": "b=c"}, id="second equals sign"),
        pytest.param(b"&&a=1&", {"a": "1"}, id="empty parameters"),
        pytest.param(b"context=%C3%A9", {"context": "\xe9"}, id="UTF-8"),
        pytest.param(b"a=1;b=2", {"a": "1;b=2"}, id="a semicolon separates nothing"),
    ],
)
def test_a_query_is_read(raw: bytes, expected: Mapping[str, str]) -> None:
    assert query_of(raw) == expected


@given(st.dictionaries(texts, texts, max_size=4))
def test_a_query_comes_back(parameters: dict[str, str]) -> None:
    assert query_of(urllib.parse.urlencode(parameters).encode()) == parameters


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(A, NamedSession(A, None), id="id"),
        pytest.param("a" * 20, NamedSession("a" * 20, None), id="shortest"),
        pytest.param("a" * 128, NamedSession("a" * 128, None), id="longest"),
        pytest.param(f"{A}.node3", NamedSession(A, "node3"), id="worker"),
        pytest.param(f"{A}.", NamedSession(A, None), id="empty worker counts as none"),
        pytest.param(f"{A}.a b", NamedSession(A, None), id="malformed worker counts as none"),
        pytest.param(f"{A}.{'n' * 65}", NamedSession(A, None), id="long worker counts as none"),
    ],
)
def test_a_session_is_named_by_its_id_and_perhaps_a_worker(
    text: str, expected: NamedSession
) -> None:
    assert named_session(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("..", id="dots"),
        pytest.param("a" * 19, id="too short"),
        pytest.param("a" * 129, id="too long"),
        pytest.param(f"{A}.a.b", id="two dots"),
        pytest.param(f".{A}", id="a worker alone"),
        pytest.param(f"{A}/touch", id="slash"),
        pytest.param(f"{A}\n", id="newline"),
        pytest.param(f"{A} ", id="space"),
        pytest.param(f"{A}%2e", id="still encoded"),
        pytest.param(f"{A}\xe9", id="beyond ASCII"),
    ],
)
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        named_session(text)

    assert refused.value.problem == "invalid-id"
