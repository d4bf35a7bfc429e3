"""Changes that were accepted before they are saved: nothing of them may get lost."""

import pytest
from hypothesis import given
from moorline_sidecar.domain.changes import Patch
from moorline_sidecar.domain.merging import Asked, Verdict, compacted, merge, rebased
from moorline_sidecar.domain.session import Session
from moorline_sidecar.errors import TooLarge
from msgspec import structs

from tests.contract.sessions import a_session
from tests.sidecar.domain.drawn import changes, deferrable, sessions


def holding(**attributes: object) -> Session:
    return a_session(version=7, contexts={"/": attributes})


def setting(name: str, value: object = 1, key: str | None = None) -> Asked:
    return Asked(patch=Patch(context="/", set={name: value}), idempotency_key=key)


def test_unsaved_changes_are_kept_on_top_of_what_another_worker_stored() -> None:
    stored = holding(n=5, theirs=1)

    assert rebased(stored, [setting("ours"), setting("n", 6)]).contexts == {
        "/": {"n": 6, "theirs": 1, "ours": 1}
    }


def test_where_nothing_is_unsaved_the_stored_session_is_served() -> None:
    stored = holding(n=5)

    assert rebased(stored, []) is stored


def test_what_was_promised_is_kept_whatever_its_size_now() -> None:
    stored = holding(theirs="x" * 10_000)

    assert merge(stored, [], 100, [setting("ours")]).content.contexts["/"]["ours"] == 1


def test_what_was_promised_is_kept_however_many_keys_it_came_with() -> None:
    promised = [setting(f"a{n}", key=f"new-{n}") for n in range(20)]
    content = merge(holding(), [], 10_000, promised).content

    assert content.contexts["/"] == {f"a{n}": 1 for n in range(20)}
    assert content.recent == tuple(f"new-{n}" for n in range(4, 20))


def test_what_the_store_turns_out_to_have_is_not_applied_again() -> None:
    stored = structs.replace(holding(a="by somebody later"), recent=("k",))

    assert rebased(stored, [setting("a", key="k")]) is stored


def test_what_is_unsaved_comes_before_what_is_asked() -> None:
    merged = merge(holding(), [setting("a", "asked")], 10_000, [setting("a", "unsaved")])

    assert merged.content.contexts["/"] == {"a": "asked"}
    assert list(merged.verdicts) == [Verdict.MERGED]


def test_what_is_asked_is_judged_with_what_is_unsaved() -> None:
    unsaved = [setting("a", "x" * 80, key="k")]
    merged = merge(holding(), [setting("b", "x" * 80), setting("c", key="k")], 120, unsaved)

    assert isinstance(merged.verdicts[0], TooLarge)
    assert merged.verdicts[1] is Verdict.REPLAYED
    assert merged.content.contexts["/"] == {"a": "x" * 80}


def test_if_match_waits_until_what_is_unsaved_is_written() -> None:
    asked = Asked(patch=Patch(context="/", set={"a": 1}), if_versions=(7,))

    assert merge(holding(), [asked], 10_000, [setting("b")]).verdicts == [Verdict.LATER]


unsaved_changes = changes(of=deferrable, most=40).map(
    # A key that is known would have been a replay, and not been accepted.
    lambda asked: [
        structs.replace(ask, idempotency_key=f"new-{n}" if ask.idempotency_key else None)
        for n, ask in enumerate(asked)
    ]
)


@given(sessions, unsaved_changes)
def test_what_is_compacted_says_the_same(stored: Session, unsaved: list[Asked]) -> None:
    bit_by_bit: list[Asked] = []
    for ask in unsaved:
        bit_by_bit = compacted([*bit_by_bit, ask])

    assert rebased(stored, compacted(unsaved)) == rebased(stored, unsaved)
    assert rebased(stored, bit_by_bit) == rebased(stored, unsaved)


@given(unsaved_changes)
def test_what_is_compacted_can_still_be_saved_later(unsaved: list[Asked]) -> None:
    assert all(ask.patch.is_deferrable and ask.if_versions is None for ask in compacted(unsaved))


def test_what_is_compacted_keeps_the_newest_16_keys() -> None:
    unsaved = [setting("a", n, key=f"new-{n}") for n in range(20)]
    keys = [ask.idempotency_key for ask in compacted(unsaved)]

    assert keys == [None, *(f"new-{n}" for n in range(4, 20))]


@pytest.mark.parametrize(
    "contexts", [("/",), ("/", "/shop")], ids=["one context", "two contexts in turn"]
)
def test_what_is_compacted_does_not_grow_with_every_change(contexts: tuple[str, ...]) -> None:
    compact: list[Asked] = []
    for n in range(200):
        patch = Patch(context=contexts[n % len(contexts)], set={"a": n})
        compact = compacted([*compact, Asked(patch=patch)])

    assert len(compact) <= len(contexts)


@pytest.mark.parametrize(
    ("first", "then", "expected"),
    [
        pytest.param({"set": {"a": 1}}, {"set": {"a": 2}}, {"set": {"a": 2}}, id="set, set"),
        pytest.param({"set": {"a": 1}}, {"unset": ("a",)}, {"unset": ("a",)}, id="set, unset"),
        pytest.param({"unset": ("a",)}, {"set": {"a": 1}}, {"set": {"a": 1}}, id="unset, set"),
        pytest.param({"unset": ("a",)}, {"unset": ("a",)}, {"unset": ("a",)}, id="unset, unset"),
        pytest.param(
            {"replace": {"a": 1}}, {"replace": {}}, {"replace": {}}, id="replace, replace"
        ),
        pytest.param({"set": {"a": 1}}, {"replace": {}}, {"replace": {}}, id="set, replace"),
        pytest.param(
            {"replace": {"a": 1}},
            {"set": {"b": 2}, "unset": ("a",)},
            {"replace": {"a": 1}, "set": {"b": 2}, "unset": ("a",)},
            id="replace, both",
        ),
    ],
)
def test_two_changes_of_a_context_are_one(
    first: dict[str, object], then: dict[str, object], expected: dict[str, object]
) -> None:
    nothing = Patch(context="/")
    asked = [Asked(patch=structs.replace(nothing, **each)) for each in (first, then)]

    assert compacted(asked) == [Asked(patch=structs.replace(nothing, **expected))]


def test_the_size_of_a_patch_is_that_of_what_it_brings() -> None:
    nothing = Patch(context="/")
    sizes = [
        structs.replace(nothing, **members).size
        for members in ({}, {"set": {"a": "x" * 100}}, {"replace": {"a": "x" * 100}})
    ]

    assert sizes[0] < 20
    assert min(sizes[1:]) - sizes[0] >= 100
