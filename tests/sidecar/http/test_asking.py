from collections.abc import Mapping

import pytest
from moorline_sidecar.domain.changes import Patch
from moorline_sidecar.domain.ids import Hint
from moorline_sidecar.domain.merging import Asked
from moorline_sidecar.errors import InvalidRequest
from moorline_sidecar.http.asking import Asking, context_of, is_json
from moorline_sidecar.http.messages import Request
from moorline_sidecar.http.tags import entity_tag
from moorline_sidecar.http.targets import NamedSession

A = "A" * 32
TAG_7 = entity_tag(A, 7)
Headers = Mapping[bytes, bytes]


def asking(headers: Headers | None = None, query: Mapping[str, str] | None = None) -> Asking:
    return Asking(Request(b"GET", b"/", b"", headers or {}), query or {}, "/")


@pytest.mark.parametrize(
    ("header", "worker", "expected"),
    [
        pytest.param(None, None, None, id="none"),
        pytest.param(b"7.n1", None, Hint(7, "n1"), id="header"),
        pytest.param(None, "n2", Hint(0, "n2"), id="a suffix names a worker and no version"),
        pytest.param(b"7.n1", "n2", Hint(7, "n1"), id="header before suffix"),
        pytest.param(b"nonsense", None, None, id="malformed counts as none"),
        pytest.param(b"nonsense", "n2", Hint(0, "n2"), id="malformed, then the suffix"),
        pytest.param(b"", "n2", Hint(0, "n2"), id="empty, then the suffix"),
        pytest.param(b"7.n\xe9", None, None, id="beyond ASCII"),
    ],
)
def test_the_hint_is_the_headers_else_the_suffixs(
    header: bytes | None, worker: str | None, expected: Hint | None
) -> None:
    headers = {} if header is None else {b"moorline-hint": header}

    assert asking(headers).hint(NamedSession(A, worker)) == expected


@pytest.mark.parametrize(
    ("headers", "versions", "key"),
    [
        pytest.param({}, None, None, id="nothing"),
        pytest.param({b"if-match": TAG_7}, (7,), None, id="If-Match"),
        pytest.param({b"if-match": b"W/" + TAG_7}, (), None, id="a weak tag names none"),
        pytest.param({b"if-match": b'"x"'}, (), None, id="another's tag names none"),
        pytest.param({b"if-match": b"*"}, None, None, id="any version"),
        pytest.param({b"idempotency-key": b"k"}, None, "k", id="key"),
        pytest.param({b"if-match": TAG_7, b"idempotency-key": b"k"}, (7,), "k", id="both"),
        pytest.param({b"if-none-match": TAG_7}, None, None, id="If-None-Match is for reads"),
    ],
)
def test_a_change_is_asked_for_with_its_conditions(
    headers: Headers, versions: tuple[int, ...] | None, key: str | None
) -> None:
    patch = Patch(context="/", set={"a": 1})

    assert asking(headers).asked(patch, A) == Asked(
        patch=patch, if_versions=versions, idempotency_key=key
    )


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(b"k", id="shortest"),
        pytest.param(b"k" * 64, id="longest"),
        pytest.param(b'"8e03978e-40d5-43e8-bc93-6894a57f9324"', id="quoted, as its draft wants it"),
        pytest.param(b"!#$%&~", id="punctuation"),
    ],
)
def test_an_idempotency_key_is_taken_as_it_is(key: bytes) -> None:
    assert asking({b"idempotency-key": key}).idempotency_key == key.decode()


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"k" * 65, id="too long"),
        pytest.param(b"a b", id="space"),
        pytest.param(b"a\tb", id="tab"),
        pytest.param(b"a\x7f", id="control character"),
        pytest.param(b"\xe9", id="beyond ASCII"),
        pytest.param(b"one, two", id="two of them"),
    ],
)
def test_an_idempotency_key_that_cannot_be_remembered_is_refused(key: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        _ = asking({b"idempotency-key": key}).idempotency_key

    assert refused.value.problem == "malformed-request"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param({}, True, id="left out"),
        pytest.param({"touch": "true"}, True, id="true"),
        pytest.param({"touch": "false"}, False, id="false"),
        pytest.param({"other": "false"}, True, id="another parameter"),
    ],
)
def test_a_read_is_an_access_unless_it_only_peeks(
    query: Mapping[str, str], *, expected: bool
) -> None:
    assert asking(query=query).is_access is expected


@pytest.mark.parametrize("text", ["", "False", "0", "no", "true "])
def test_touch_is_true_or_false(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        _ = asking(query={"touch": text}).is_access

    assert refused.value.problem == "malformed-request"


@pytest.mark.parametrize(
    ("prefer", "expected"),
    [
        pytest.param(None, False, id="left out"),
        pytest.param(b"return=representation", True, id="representation"),
        pytest.param(b"return=minimal", False, id="minimal"),
        pytest.param(b"Return = Representation", True, id="any case, with spaces"),
        pytest.param(b'return="representation"', True, id="quoted"),
        pytest.param(b"respond-async, return=representation; x=1", True, id="among others"),
        pytest.param(b"handling=strict", False, id="another preference"),
    ],
)
def test_prefer_asks_for_the_session(prefer: bytes | None, *, expected: bool) -> None:
    headers = {} if prefer is None else {b"prefer": prefer}

    assert asking(headers).wants_representation is expected


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        pytest.param(None, False, id="left out"),
        pytest.param(TAG_7, True, id="this version"),
        pytest.param(b"W/" + TAG_7, True, id="this version, made weak"),
        pytest.param(entity_tag(A, 6), False, id="an older version"),
        pytest.param(entity_tag(A, 6) + b", " + TAG_7, True, id="one of two"),
        pytest.param(entity_tag("B" * 32, 7), False, id="another session"),
        pytest.param(b"*", True, id="any version"),
    ],
)
def test_if_none_match_tells_what_the_client_has(field: bytes | None, *, expected: bool) -> None:
    headers = {} if field is None else {b"if-none-match": field}

    assert asking(headers).is_known(A, 7) is expected


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        pytest.param(None, True, id="left out"),
        pytest.param(b"application/json", True, id="plain"),
        pytest.param(b"Application/JSON", True, id="any case"),
        pytest.param(b"application/json; charset=utf-8", True, id="charset"),
        pytest.param(b"application/json;charset=UTF-8", True, id="charset without a space"),
        pytest.param(b'application/json; charset="utf-8"', True, id="quoted charset"),
        pytest.param(b"application/json; charset=iso-8859-1", False, id="another charset"),
        pytest.param(b"text/plain", False, id="text"),
        pytest.param(b"application/x-www-form-urlencoded", False, id="form"),
        pytest.param(b"multipart/form-data; boundary=x", False, id="multipart"),
        pytest.param(b"application/jsonx", False, id="longer"),
        pytest.param(b"text/application/json", False, id="in the middle"),
        pytest.param(b"text/plain, application/json", False, id="two types"),
        pytest.param(b"", False, id="empty"),
    ],
)
def test_a_body_is_json_as_far_as_its_type_says(field: bytes | None, *, expected: bool) -> None:
    headers = {} if field is None else {b"content-type": field}

    assert is_json(headers) is expected


@pytest.mark.parametrize(
    ("header", "query", "expected"),
    [
        pytest.param(None, {}, "/default", id="default"),
        pytest.param(b"/shop", {}, "/shop", id="header"),
        pytest.param(None, {"context": "/shop"}, "/shop", id="query"),
        pytest.param(b"/shop", {"context": "/admin"}, "/shop", id="header before query"),
        pytest.param(b"caf\xc3\xa9", {}, "caf\xe9", id="UTF-8"),
        pytest.param(None, {"context": "caf\xe9"}, "caf\xe9", id="UTF-8 in the query"),
        pytest.param(b"c" * 128, {}, "c" * 128, id="longest"),
        pytest.param(b"$a.b", {}, "$a.b", id="what means something to a database"),
    ],
)
def test_a_request_names_its_context(
    header: bytes | None, query: Mapping[str, str], expected: str
) -> None:
    headers = {} if header is None else {b"moorline-context": header}

    assert context_of(Request(b"GET", b"/", b"", headers), query, "/default") == expected


@pytest.mark.parametrize(
    ("header", "query"),
    [
        pytest.param(b"", {}, id="empty"),
        pytest.param(b"c" * 129, {}, id="too long"),
        pytest.param(b"\xff", {}, id="not UTF-8"),
        pytest.param(None, {"context": ""}, id="empty in the query"),
        pytest.param(None, {"context": "c" * 129}, id="too long in the query"),
        pytest.param(b"", {"context": "/shop"}, id="an empty header is not passed over"),
    ],
)
def test_what_cannot_be_a_context_is_refused(
    header: bytes | None, query: Mapping[str, str]
) -> None:
    headers = {} if header is None else {b"moorline-context": header}

    with pytest.raises(InvalidRequest) as refused:
        context_of(Request(b"GET", b"/", b"", headers), query, "/default")

    assert refused.value.problem == "invalid-context"
