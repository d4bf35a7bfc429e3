import pytest
from moorline_sidecar.domain.changes import Patch, content_size, patched
from moorline_sidecar.domain.content import content_of
from moorline_sidecar.domain.session import Session
from moorline_sidecar.errors import TooLarge

from tests.contract.sessions import a_session

LIMIT = 100


def holding(size: int, context: str = "/") -> Session:
    """A session whose content takes so many bytes."""
    empty = content_size({context: {"x": ""}})
    return a_session(contexts={context: {"x": "y" * (size - empty)}})


def set_to(size: int) -> Patch:
    return Patch(context="/", set=holding(size).contexts["/"])


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        pytest.param({}, b'{"/":{}}', id="no attributes"),
        pytest.param({"a": 1}, b'{"/":{"a":1}}', id="ASCII"),
        pytest.param({"a": "\xe9"}, '{"/":{"a":"\xe9"}}'.encode(), id="bytes, not characters"),
    ],
)
def test_the_size_is_counted_in_bytes_of_utf_8(
    attributes: dict[str, object], expected: bytes
) -> None:
    assert content_size({"/": attributes}) == len(expected)


@pytest.mark.parametrize("names", [[], ["/"], ["/", "/shop"], ['"', "\xe9", "\n"]], ids=repr)
def test_what_is_held_as_text_has_the_size_of_its_contexts_as_json(names: list[str]) -> None:
    contexts = {name: {"a": [name]} for name in names}

    assert content_size(content_of(contexts)) == content_size(contexts)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(20, LIMIT, id="up to the limit"),
        pytest.param(LIMIT, LIMIT, id="at the limit"),
        pytest.param(LIMIT, 20, id="shrinks"),
        pytest.param(LIMIT + 50, LIMIT + 49, id="over the limit, shrinks but stays over"),
        pytest.param(LIMIT + 50, LIMIT + 50, id="over the limit, stays as it is"),
        pytest.param(LIMIT + 50, 20, id="over the limit, shrinks below"),
    ],
)
def test_content_may_have_up_to_the_limit_and_may_always_shrink(before: int, after: int) -> None:
    changed = patched(holding(before), set_to(after), LIMIT)

    assert content_size(changed.contexts) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(20, LIMIT + 1, id="beyond the limit"),
        pytest.param(LIMIT, LIMIT + 1, id="from the limit"),
        pytest.param(LIMIT + 50, LIMIT + 51, id="over the limit, grows"),
    ],
)
def test_content_may_not_grow_beyond_the_limit(before: int, after: int) -> None:
    with pytest.raises(TooLarge) as refused:
        patched(holding(before), set_to(after), LIMIT)

    assert (refused.value.size, refused.value.limit) == (after, LIMIT)


def test_all_contexts_count_together() -> None:
    before = holding(LIMIT, context="/admin")

    with pytest.raises(TooLarge):
        patched(before, Patch(context="/", set={"a": 1}), LIMIT)


def test_what_grows_by_an_increment_counts() -> None:
    before = a_session(contexts={"/": {"n": 9}})
    limit = content_size(before.contexts)

    with pytest.raises(TooLarge):
        patched(before, Patch(context="/", increment={"n": 1}), limit)


def test_a_session_over_the_limit_takes_what_is_not_content() -> None:
    before = holding(LIMIT + 50)

    assert patched(before, Patch(context="/", principal="ada"), LIMIT).principal == "ada"
