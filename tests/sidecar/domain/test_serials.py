"""Numbers of writes that may be repeated: kept in the session, beside the keys of callers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moorline_sidecar.domain.changes import Patch, remembering
from moorline_sidecar.domain.merging import Asked, clashes, compacted, rebased
from moorline_sidecar.domain.serials import SERIALS_MAX, Serial, is_applied, numbered, parted
from msgspec import structs

from tests.contract.sessions import a_session

FOUR = Serial("one", 4)


@pytest.mark.parametrize(
    ("serial", "expected"),
    [
        pytest.param(Serial("one", 3), True, id="earlier"),
        pytest.param(FOUR, True, id="itself"),
        pytest.param(Serial("one", 5), False, id="later"),
        pytest.param(Serial("two", 4), False, id="of another process"),
    ],
)
def test_a_number_stands_for_all_before_it_of_its_process(
    serial: Serial,
    expected: bool,  # noqa: FBT001 a case
) -> None:
    assert is_applied(serial, numbered(a_session(), FOUR).recent) is expected


def test_a_process_has_one_number_in_a_session() -> None:
    session = a_session()
    for number in range(1, 30):
        session = numbered(session, Serial("one", number))
    assert session.recent == (str(Serial("one", 29)),)
    assert numbered(session, FOUR) is session


def test_numbers_take_no_place_of_keys_nor_keys_of_numbers() -> None:
    session = numbered(a_session(), FOUR)
    for number in range(40):
        session = remembering(session, f"key{number}")
    assert is_applied(FOUR, session.recent)
    assert parted(session.recent)[1] == [f"key{number}" for number in range(24, 40)]


def test_the_oldest_process_is_forgotten_first() -> None:
    session = a_session()
    for number in range(SERIALS_MAX + 1):
        session = numbered(session, Serial(str(number), 1))
    numbers = range(SERIALS_MAX + 2)
    known = [is_applied(Serial(str(number), 1), session.recent) for number in numbers]
    assert known == [False, *[True] * SERIALS_MAX, False]


def counting(amount: float, number: int | None = None, *, is_sealed: bool = False) -> Asked:
    serial = None if number is None else Serial("one", number)
    patch = Patch(context="/", increment={"n": amount})
    return Asked(patch=patch, serial=serial, is_sealed=is_sealed)


def test_what_is_applied_is_left_out() -> None:
    stored = numbered(a_session(contexts={"/": {"n": 7}}), Serial("one", 2))
    kept = [counting(1, 1), counting(1, 2), counting(1, 3)]
    assert rebased(stored, kept).contexts == {"/": {"n": 8}}


def test_sums_of_integers_become_one() -> None:
    assert compacted([counting(1, 1), counting(2, 2)]) == [counting(3, 2)]


@pytest.mark.parametrize(
    "kept",
    [
        pytest.param([counting(0.1, 1), counting(0.2, 2)], id="doubles"),
        pytest.param([counting(1, 1, is_sealed=True), counting(2, 2)], id="sealed before"),
        pytest.param([counting(1, 1), counting(2, 2, is_sealed=True)], id="sealed after"),
        pytest.param(
            [Asked(patch=Patch(context="/", set={"n": 1})), counting(2, 2)], id="set before"
        ),
        pytest.param(
            [Asked(patch=Patch(context="/", replace={})), counting(2, 2)], id="replaced before"
        ),
    ],
)
def test_what_cannot_be_said_by_one_change_stays_two(kept: list[Asked]) -> None:
    assert compacted(kept) == kept


_NAMES = st.sampled_from(["n", "m"])
_PATCHES = st.one_of(
    st.builds(
        lambda name, by: Patch(context="/", increment={name: by}), _NAMES, st.integers(-9, 9)
    ),
    st.builds(lambda name, to: Patch(context="/", set={name: to}), _NAMES, st.integers(-9, 9)),
    st.builds(lambda name: Patch(context="/", unset=(name,)), _NAMES),
    st.builds(lambda to: Patch(context="/", replace={"n": to}), st.integers(-9, 9)),
)


@given(st.lists(st.tuples(_PATCHES, st.booleans())), st.integers(0, 12))
def test_what_is_compacted_bit_by_bit_says_the_same(
    drawn: list[tuple[Patch, bool]], applied: int
) -> None:
    """Also to a session that has all up to a sealed one: only what was sent can be there."""
    kept = [
        Asked(patch=patch, serial=Serial("one", number), is_sealed=is_sealed)
        for number, (patch, is_sealed) in enumerate(drawn, 1)
    ]
    compact: list[Asked] = []
    for ask in kept:
        compact = compacted([*compact, ask])
    empty = a_session(contexts={"/": {}})
    assert rebased(empty, compact) == rebased(empty, kept)
    sealed = [number for number, (_, is_sealed) in enumerate(drawn, 1) if is_sealed]
    if sealed:
        last = sealed[min(applied, len(sealed) - 1)]
        stored = rebased(empty, kept[:last])
        assert rebased(stored, compact) == rebased(stored, kept)


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        pytest.param({"set": {"a": 1}}, 1, id="set of what was set"),
        pytest.param({"unset": ("gone",)}, 1, id="unset of what was unset"),
        pytest.param({"set": {"b": 1}}, 0, id="set of another"),
        pytest.param({"replace": {}}, 3, id="all replaced"),
        pytest.param({"increment": {"count": 1}}, 0, id="increment of a number"),
        pytest.param({"increment": {"a": 1}}, 1, id="increment of a text"),
    ],
)
def test_a_clash_is_an_attribute_that_both_sides_changed(
    patch: dict[str, object], expected: int
) -> None:
    before = a_session(contexts={"/": {"a": 1, "b": 2, "count": 1, "gone": 1}})
    now = structs.replace(before, contexts={"/": {"a": "text", "b": 2, "count": 5}})
    asked = Asked(patch=structs.replace(Patch(context="/"), **patch))
    assert clashes(before, now, [asked]) == expected


def test_an_increment_that_cannot_be_made_leaves_the_others() -> None:
    stored = a_session(contexts={"/": {"n": "text", "m": 1}})
    asked = Asked(patch=Patch(context="/", set={"a": 1}, increment={"n": 1, "m": 1}))
    assert rebased(stored, [asked]).contexts == {"/": {"n": "text", "m": 2, "a": 1}}
