import pytest
from moorline_sidecar.domain.changes import Patch
from moorline_sidecar.domain.merging import UNLIMITED, Asked, Merge, Verdict, merge
from moorline_sidecar.domain.session import Session
from moorline_sidecar.errors import InvalidValue, TooLarge, VersionConflict
from msgspec import structs

from tests.contract.sessions import a_session

MERGED, REPLAYED, LATER = Verdict.MERGED, Verdict.REPLAYED, Verdict.LATER

SIXTEEN = tuple(f"old-{n}" for n in range(16))


def base(**fields: object) -> Session:
    return structs.replace(a_session(version=7, contexts={"/": {"n": 0}}), **fields)


def setting(
    name: str, *, when: tuple[int, ...] | None = None, key: str | None = None, value: object = 1
) -> Asked:
    patch = Patch(context="/", set={name: value})
    return Asked(patch=patch, if_versions=when, idempotency_key=key)


def counting(key: str | None = None) -> Asked:
    return Asked(patch=Patch(context="/", increment={"n": 1}), idempotency_key=key)


EMPTY = Asked(patch=Patch(context="/"))
BAD = Asked(patch=Patch(context="/", set={"lost": 1}, increment={"bad": 1, "text": 1}))
TEXT = {"/": {"text": "x"}}


def judged(before: Session, *asked: Asked) -> Merge:
    return merge(before, asked, UNLIMITED)


def kinds(merged: Merge) -> list[object]:
    """Verdicts, and the classes of refusals."""
    return [each if isinstance(each, Verdict) else type(each) for each in merged.verdicts]


def test_changes_to_different_attributes_merge() -> None:
    merged = judged(base(), setting("a"), setting("b"), counting(), counting())

    assert kinds(merged) == [MERGED] * 4
    assert merged.content.contexts["/"] == {"n": 2, "a": 1, "b": 1}


def test_on_the_same_attribute_the_last_one_wins() -> None:
    merged = judged(base(), setting("a", value=1), setting("a", value=2))

    assert merged.content.contexts["/"]["a"] == 2


def test_merging_leaves_version_and_times_to_the_write() -> None:
    assert judged(base(), setting("a"), setting("b")).content.version == 7


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param([], id="nothing asked"),
        pytest.param([EMPTY, EMPTY], id="empty changes"),
        pytest.param([setting("a", key="old-0")], id="a replay"),
        pytest.param([setting("a", when=(6,))], id="a refusal"),
        pytest.param([Asked(patch=Patch(context="/"), idempotency_key="k")], id="empty with a key"),
    ],
)
def test_where_nothing_is_to_be_written_the_content_is_the_base(asked: list[Asked]) -> None:
    before = base(recent=SIXTEEN)

    assert judged(before, *asked).content is before


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param([setting("a", when=(7,))], [MERGED], id="its version"),
        pytest.param([setting("a", when=(5, 7))], [MERGED], id="one of its versions"),
        pytest.param([setting("a", when=(6,))], [VersionConflict], id="an older version"),
        pytest.param([setting("a", when=(8,))], [VersionConflict], id="a newer version"),
        pytest.param([setting("a", when=())], [VersionConflict], id="no version of this session"),
        pytest.param([setting("a", when=(7,)), setting("b")], [MERGED, MERGED], id="first of two"),
        pytest.param([setting("b"), setting("a", when=(7,))], [MERGED, LATER], id="second of two"),
        pytest.param(
            [setting("b"), setting("a", when=(6,))],
            [MERGED, LATER],
            id="second of two, judged against what comes of the first",
        ),
        pytest.param(
            [setting("a", when=(7,)), setting("b", when=(7,))], [MERGED, LATER], id="both of two"
        ),
        pytest.param([EMPTY, setting("a", when=(7,))], [MERGED, MERGED], id="behind an empty one"),
        pytest.param(
            [BAD, setting("a", when=(7,))], [InvalidValue, MERGED], id="behind a refused one"
        ),
        pytest.param(
            [setting("b", key="old-3"), setting("a", when=(7,))],
            [REPLAYED, MERGED],
            id="behind a replay",
        ),
        pytest.param(
            [Asked(patch=Patch(context="/"), if_versions=(6,))],
            [VersionConflict],
            id="an empty change, too",
        ),
    ],
)
def test_if_match_holds_for_the_version_that_the_write_replaces(
    asked: list[Asked], expected: list[object]
) -> None:
    before = base(recent=SIXTEEN, contexts=TEXT)

    assert kinds(judged(before, *asked)) == expected


def test_what_comes_later_is_not_in_the_content() -> None:
    merged = judged(base(), setting("a"), setting("b", when=(7,)), setting("c"))

    assert kinds(merged) == [MERGED, LATER, MERGED]
    assert merged.content.contexts["/"] == {"n": 0, "a": 1, "c": 1}


def test_a_refused_change_changes_nothing_and_leaves_the_others_alone() -> None:
    merged = judged(base(contexts=TEXT), setting("a"), BAD, setting("b"))

    assert kinds(merged) == [MERGED, InvalidValue, MERGED]
    assert merged.content.contexts["/"] == {"text": "x", "a": 1, "b": 1}
    assert merged.has_refusals


def test_a_refused_change_is_not_remembered() -> None:
    bad = Asked(patch=BAD.patch, idempotency_key="k")
    before = base(contexts=TEXT)

    assert kinds(judged(before, bad, bad)) == [InvalidValue, InvalidValue]
    assert judged(before, bad).content.recent == ()


def test_nothing_refused_is_said_so() -> None:
    assert not judged(base(recent=SIXTEEN), setting("a"), setting("b", key="old-0")).has_refusals


def test_a_change_that_does_not_fit_leaves_room_for_a_smaller_one() -> None:
    merged = merge(base(), [setting("a", value="x" * 50), setting("b")], 30)

    assert kinds(merged) == [TooLarge, MERGED]
    assert merged.content.contexts["/"] == {"n": 0, "b": 1}


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("old-15", id="newest of the session"),
        pytest.param("old-0", id="oldest of the session"),
    ],
)
def test_a_key_that_the_session_remembers_is_not_applied_again(key: str) -> None:
    merged = judged(base(recent=SIXTEEN), counting(key))

    assert kinds(merged) == [REPLAYED]
    assert merged.content.contexts["/"] == {"n": 0}


def test_a_key_that_is_repeated_in_one_write_is_applied_once() -> None:
    merged = judged(base(), counting("k"), counting("k"), counting("k"))

    assert kinds(merged) == [MERGED, REPLAYED, REPLAYED]
    assert merged.content.contexts["/"] == {"n": 1}
    assert merged.content.recent == ("k",)


def test_a_replay_is_known_whatever_version_it_names() -> None:
    # The first time made the version that its If-Match does not name any more.
    replay = setting("a", when=(6,), key="old-3")

    assert kinds(judged(base(recent=SIXTEEN), replay)) == [REPLAYED]


def test_a_seventeenth_new_key_waits_for_the_next_write() -> None:
    asked = [counting(f"new-{n}") for n in range(17)]
    merged = judged(base(), *asked)

    assert kinds(merged) == [MERGED] * 16 + [LATER]
    assert merged.content.recent == tuple(f"new-{n}" for n in range(16))
    assert merged.content.contexts["/"] == {"n": 16}


def test_sixteen_new_keys_push_out_sixteen_old_ones() -> None:
    merged = judged(base(recent=SIXTEEN), *(counting(f"new-{n}") for n in range(17)))

    assert kinds(merged) == [MERGED] * 16 + [LATER]
    assert merged.content.recent == tuple(f"new-{n}" for n in range(16))


def test_changes_without_a_key_go_on_behind_the_sixteenth_key() -> None:
    merged = judged(base(), *(counting(f"new-{n}") for n in range(17)), counting())

    assert kinds(merged) == [MERGED] * 16 + [LATER, MERGED]
