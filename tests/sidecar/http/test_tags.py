import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moorline_sidecar.domain.ids import handle_of, hashed_key
from moorline_sidecar.errors import InvalidRequest
from moorline_sidecar.http.tags import entity_tag, tagged_versions

A = "A" * 32
B = "B" * 32
TAG_7 = entity_tag(A, 7)
TAG_8 = entity_tag(A, 8)
FOREIGN = entity_tag(B, 7)

versions = st.integers(1, 10**18 - 1)
ids = st.text(string.ascii_letters + string.digits + "_-", min_size=20, max_size=128)


@given(ids, versions)
def test_a_tag_is_strong_and_of_visible_ascii(session_id: str, version: int) -> None:
    assert re.fullmatch(rb'"[\x21\x23-\x7e]+"', entity_tag(session_id, version))


@given(ids, versions)
def test_a_tag_is_a_function_of_id_and_version(session_id: str, version: int) -> None:
    tag = entity_tag(session_id, version)

    assert tag == entity_tag(session_id, version)
    assert tag != entity_tag(session_id, version + 1)
    assert tag != entity_tag(session_id + "x", version)


@given(ids)
def test_a_tag_does_not_give_away_id_key_or_handle(session_id: str) -> None:
    mark = entity_tag(session_id, 1).decode().strip('"').partition("-")[2]

    assert mark not in session_id
    assert mark not in hashed_key(session_id)
    assert mark not in handle_of(hashed_key(session_id))


@given(session_id=ids, version=versions, weakly=st.booleans())
def test_a_tag_names_its_version_of_its_session(
    session_id: str, version: int, *, weakly: bool
) -> None:
    tag = entity_tag(session_id, version)

    assert tagged_versions(tag, session_id, weakly=weakly) == (version,)
    assert tagged_versions(tag, session_id + "x", weakly=weakly) == ()


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        pytest.param(TAG_7, (7,), id="one"),
        pytest.param(b" " + TAG_7 + b"\t", (7,), id="spaces around"),
        pytest.param(TAG_7 + b"," + TAG_8, (7, 8), id="two"),
        pytest.param(TAG_7 + b" , \t" + TAG_8, (7, 8), id="two with spaces"),
        pytest.param(TAG_8 + b", " + FOREIGN, (8,), id="another session's names none"),
        pytest.param(FOREIGN, (), id="another session's only"),
        pytest.param(b'"x", ' + TAG_7, (7,), id="somebody else's"),
        pytest.param(b'"a,b", ' + TAG_7, (7,), id="a comma within a tag"),
        pytest.param(b'"", ' + TAG_7, (7,), id="an empty tag"),
        pytest.param(b'"\xe9", ' + TAG_7, (7,), id="a tag beyond ASCII"),
        pytest.param(b'"7"', (), id="a version alone"),
        pytest.param(TAG_7[:-1] + b'x"', (), id="longer than ours"),
        pytest.param(b'"' + b"9" * 5_000 + TAG_7[2:], (), id="a version too long"),
        pytest.param(TAG_7 + b",", (7,), id="empty element at the end"),
        pytest.param(b"," + TAG_7, (7,), id="empty element at the start"),
        pytest.param(TAG_7 + b",, ," + TAG_8, (7, 8), id="empty elements in between"),
    ],
)
def test_a_list_of_tags_names_versions(field: bytes, expected: tuple[int, ...]) -> None:
    assert tagged_versions(field, A, weakly=False) == expected
    assert tagged_versions(field, A, weakly=True) == expected


@pytest.mark.parametrize("field", [b"*", b" * "])
@pytest.mark.parametrize("weakly", [False, True])
def test_a_star_names_whatever_there_is(field: bytes, *, weakly: bool) -> None:
    assert tagged_versions(field, A, weakly=weakly) is None


@pytest.mark.parametrize(
    ("weakly", "expected"),
    [
        pytest.param(True, (7, 8), id="If-None-Match"),
        pytest.param(False, (8,), id="If-Match"),
    ],
)
def test_weak_tags_count_only_where_the_comparison_is_weak(
    expected: tuple[int, ...], *, weakly: bool
) -> None:
    # RFC 9110, 8.8.3.2: a proxy that compresses makes tags weak.
    assert tagged_versions(b"W/" + TAG_7 + b", " + TAG_8, A, weakly=weakly) == expected


@pytest.mark.parametrize(
    "field",
    [
        pytest.param(b"7", id="no quotes"),
        pytest.param(TAG_7[:-1], id="no closing quote"),
        pytest.param(TAG_7[1:], id="no opening quote"),
        pytest.param(b"'7'", id="single quotes"),
        pytest.param(b"w/" + TAG_7, id="lower-case weak"),
        pytest.param(b"W/ " + TAG_7, id="space behind weak"),
        pytest.param(TAG_7 + b" " + TAG_8, id="no comma"),
        pytest.param(TAG_7 + b"; " + TAG_8, id="semicolon"),
        pytest.param(b"*, " + TAG_7, id="star in a list"),
        pytest.param(TAG_7 + b", *", id="star at the end of a list"),
        pytest.param(b'"a b"', id="space within a tag"),
        pytest.param(b'"a\x7f"', id="control character within a tag"),
        pytest.param(b'"7\\"8"', id="quotes cannot be escaped"),
    ],
)
def test_what_is_no_list_of_tags_is_refused(field: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        tagged_versions(field, A, weakly=False)

    assert refused.value.problem == "malformed-request"


@given(
    named=st.lists(st.tuples(st.sampled_from([A, B]), versions, st.booleans()), min_size=1),
    weakly=st.booleans(),
)
def test_every_list_that_is_written_is_read(
    named: list[tuple[str, int, bool]], *, weakly: bool
) -> None:
    tags = [(b"W/" if is_weak else b"") + entity_tag(each, n) for each, n, is_weak in named]
    expected = [n for each, n, is_weak in named if each == A and (weakly or not is_weak)]

    assert tagged_versions(b", ".join(tags), A, weakly=weakly) == tuple(expected)
