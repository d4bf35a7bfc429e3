from collections.abc import Callable

import pytest
from moorline_sidecar.cache.entry import Entry, times_of
from moorline_sidecar.cache.l1 import L1
from moorline_sidecar.domain.session import Reason, Tombstone

from tests.sidecar.cache.entries import LINE, REST, an_answer, an_entry, weighing

ONE = an_entry("any").size
ROOMY = 1 << 30


def a_tombstone(key: str) -> Tombstone:
    return Tombstone(key=key, version=2, created=0, accessed=0, invalidated=1, reason=Reason.LOGOUT)


def keys(l1: L1) -> list[str]:
    return sorted(entry.key for entry in l1)


def filled(l1: L1, *names: str) -> L1:
    for name in names:
        l1.put(an_entry(name))
    return l1


def hit(l1: L1, *names: str) -> None:
    for name in names:
        for _ in range(5):
            assert l1.get(name) is not None


def test_an_empty_l1_holds_nothing() -> None:
    l1 = L1(10, ROOMY)

    assert (len(l1), l1.bytes, list(l1)) == (0, 0, [])
    assert l1.get("a") is None
    assert l1.peek("a") is None
    assert l1.drop("a") is None


def test_what_was_put_is_found() -> None:
    l1 = L1(10, ROOMY)
    entry = an_entry("a")
    l1.put(entry)

    assert l1.get("a") is l1.peek("a") is entry
    assert l1.bytes == entry.size


def test_a_second_entry_of_a_key_replaces_the_first() -> None:
    l1 = filled(L1(10, ROOMY), "a", "b")
    entry = an_entry("a", 500)
    l1.put(entry)

    assert l1.get("a") is entry
    assert len(l1) == 2
    assert l1.bytes == ONE + entry.size


def test_an_entry_may_be_put_again() -> None:
    l1 = L1(10, ROOMY)
    entry = an_entry("a")
    l1.put(entry)
    l1.put(entry)

    assert (len(l1), l1.bytes) == (1, ONE)


def test_what_was_dropped_is_gone() -> None:
    l1 = filled(L1(10, ROOMY), "a", "b")
    dropped = l1.drop("a")

    assert dropped is not None
    assert dropped.key == "a"
    assert (keys(l1), l1.bytes) == (["b"], ONE)


def test_what_was_dropped_is_in_no_cycle_as_nothing_would_collect_it() -> None:
    l1 = filled(L1(10, ROOMY), "a", "b", "c")
    middle = l1.peek("b")
    assert middle is not None
    answer = an_answer()
    middle.keep(answer)
    l1.names.put(answer, middle, 0, LINE + REST, REST)
    l1.names.clear()
    l1.drop("b")

    assert (middle.before, middle.after, answer.entry, answer.names) == (None, None, None, None)


def test_unsaved_changes_do_not_keep_from_being_dropped() -> None:
    l1 = L1(10, ROOMY)
    l1.put(an_entry("a", is_unsaved=True))
    l1.drop("a")

    assert len(l1) == 0


@pytest.mark.parametrize(
    ("most", "limit"),
    [
        pytest.param(20, ROOMY, id="by count"),
        pytest.param(1_000_000, 20 * ONE, id="by bytes"),
        pytest.param(20, 20 * ONE, id="by both"),
    ],
)
def test_the_l1_holds_as_much_as_it_may_and_no_more(most: int, limit: int) -> None:
    l1 = filled(L1(most, limit), *(f"k{n:03}" for n in range(100)))

    assert len(l1) == 20
    assert l1.bytes == 20 * ONE
    assert l1.evictions == 80
    assert l1.high_water == 20
    assert l1.added == 100


def test_what_has_ended_is_no_session() -> None:
    l1 = filled(L1(10, ROOMY), "a", "b", "c")
    ended = l1.peek("a")
    assert ended is not None
    before = ended.size
    ended.hold(a_tombstone("a"), a_tombstone("a"))
    l1.resized(ended, before)
    l1.put(Entry(a_tombstone("d"), times_of(a_tombstone("d")), 0))

    assert (len(l1), l1.sessions, l1.high_water, l1.added) == (4, 2, 3, 3)

    l1.drop("a")
    l1.put(an_entry("d"))

    assert (len(l1), l1.sessions) == (3, 3)


def test_an_entry_that_never_fits_is_not_kept() -> None:
    l1 = filled(L1(20, 20 * ONE), "a")
    l1.put(an_entry("giant", 20 * ONE))

    assert l1.peek("giant") is None
    assert l1.bytes <= l1.max_bytes


def test_an_entry_that_grows_makes_room() -> None:
    l1 = filled(L1(1_000, 20 * ONE), *(f"k{n}" for n in range(20)))
    grow(l1, "k19", 5 * ONE)

    assert l1.bytes == sum(each.size for each in l1) <= l1.max_bytes
    assert len(l1) < 20


def test_an_entry_that_was_evicted_meanwhile_is_not_accounted_for() -> None:
    l1 = L1(10, ROOMY)
    evicted, current = an_entry("a"), an_entry("a")
    l1.put(evicted)
    l1.put(current)
    session = weighing("a", 100)
    evicted.hold(session, session)
    l1.resized(evicted, ONE)

    assert l1.bytes == current.size


def test_entries_that_are_used_outlive_those_that_are_not() -> None:
    l1 = filled(L1(20, ROOMY), *(f"used-{n}" for n in range(10)))
    for n in range(200):
        hit(l1, *(f"used-{m}" for m in range(10)))
        l1.put(an_entry(f"once-{n}"))

    assert [f"used-{n}" for n in range(10)] == [key for key in keys(l1) if key.startswith("used")]


def test_a_look_that_does_not_count_keeps_nothing_in() -> None:
    l1 = filled(L1(20, ROOMY), "peeked")
    for n in range(200):
        assert n > 5 or l1.peek("peeked") is not None
        l1.put(an_entry(f"once-{n}"))

    assert l1.peek("peeked") is None


def test_a_key_that_comes_back_soon_is_no_newcomer_any_more() -> None:
    l1 = filled(L1(20, ROOMY), *(f"used-{n}" for n in range(18)))
    hit(l1, *(f"used-{n}" for n in range(18)))
    filled(l1, "back", *(f"once-{n}" for n in range(10)))
    assert l1.peek("back") is None

    filled(l1, "back", "new", *(f"once-more-{n}" for n in range(10)))

    assert l1.peek("back") is not None
    assert l1.peek("new") is None


def with_a_used_main_queue(limit: int) -> L1:
    """18 entries have been used, and were promoted when others came by."""
    l1 = filled(L1(1_000, limit), *(f"used-{n}" for n in range(18)))
    hit(l1, *(f"used-{n}" for n in range(18)))
    filled(l1, *(f"once-{n}" for n in range(10)))
    for entry in l1:
        if entry.key.startswith("once"):
            l1.drop(entry.key)
    assert len(l1) == 18
    return l1


def grow(l1: L1, name: str, attribute_bytes: int) -> None:
    entry = l1.peek(name)
    assert entry is not None
    before = entry.size
    session = weighing(name, attribute_bytes)
    entry.hold(session, session)
    l1.resized(entry, before)


def test_newcomers_that_grow_beyond_their_share_go_first() -> None:
    l1 = with_a_used_main_queue(20 * ONE)
    filled(l1, "new")
    grow(l1, "new", 3 * ONE)

    assert keys(l1) == sorted(f"used-{n}" for n in range(18))


def test_newcomers_within_their_share_do_not_go_first() -> None:
    l1 = with_a_used_main_queue(20 * ONE)
    grow(l1, "used-9", 2 * ONE)
    filled(l1, "new")

    assert l1.peek("new") is not None
    assert l1.peek("used-0") is None


def test_what_is_unsaved_is_never_evicted() -> None:
    l1 = L1(20, ROOMY)
    for n in range(10):
        l1.put(an_entry(f"unsaved-{n}", is_unsaved=True))
    filled(l1, *(f"once-{n}" for n in range(200)))

    assert len(l1) == 20
    assert [f"unsaved-{n}" for n in range(10)] == [key for key in keys(l1) if key[0] == "u"]


def test_what_is_being_saved_is_not_evicted_before_it_is_saved() -> None:
    l1 = L1(20, ROOMY)
    entry = an_entry("sending", is_unsaved=True)
    entry.sending, entry.unsaved = entry.unsaved, ()
    l1.put(entry)
    filled(l1, *(f"once-{n}" for n in range(200)))

    assert l1.peek("sending") is entry


def test_what_is_unsaved_may_exceed_the_bounds_until_it_is_saved() -> None:
    l1 = L1(20, ROOMY)
    for n in range(30):
        l1.put(an_entry(f"unsaved-{n}", is_unsaved=True))
    assert len(l1) == 30

    for entry in l1:
        entry.unsaved = ()
    l1.evict()

    assert len(l1) == 20


def test_what_is_new_makes_room_for_what_is_unsaved() -> None:
    l1 = L1(100, 10 * ONE)
    l1.put(an_entry("unsaved", 10 * ONE, is_unsaved=True))
    filled(l1, "new")

    assert keys(l1) == ["unsaved"]


def test_what_is_used_makes_room_for_what_is_unsaved() -> None:
    l1 = L1(100, 3 * ONE)
    l1.put(an_entry("unsaved", is_unsaved=True))
    filled(l1, "saved-1", "saved-2")
    hit(l1, "unsaved", "saved-1", "saved-2")
    grow(l1, "unsaved", 3 * ONE)

    assert keys(l1) == ["unsaved"]


def test_the_l1_may_change_while_it_is_walked_through() -> None:
    l1 = filled(L1(10, ROOMY), "a", "b", "c")
    for entry in l1:
        l1.drop(entry.key)

    assert len(l1) == 0


def test_smaller_bounds_hold_at_once_but_for_what_is_unsaved() -> None:
    cache = L1(100, 1 << 20)
    unsaved = an_entry("unsaved", is_unsaved=True)
    cache.put(unsaved)
    for number in range(99):
        cache.put(an_entry(f"k{number}"))
    cache.resize(10, 1 << 20)
    assert len(cache) == 10
    cache.resize(10, 1)
    assert list(cache) == [unsaved]


def named() -> tuple[L1, Entry]:
    """An L1 that finds the answer of its entry `a` by a name."""
    l1 = filled(L1(10, ROOMY), "a", "b")
    entry = l1.peek("a")
    assert entry is not None
    entry.keep(an_answer())
    assert entry.answer is not None
    l1.names.put(entry.answer, entry, 0, LINE + REST, REST)
    assert l1.names.find(LINE + REST) is entry.answer
    assert entry.answer.entry is entry
    return l1, entry


def test_an_answer_is_found_by_its_last_name() -> None:
    l1, entry = named()
    assert entry.answer is not None

    l1.names.put(entry.answer, entry, 0, LINE + b"other", b"other")

    assert l1.names.find(LINE + REST) is None
    assert l1.names.find(LINE + b"other") is entry.answer
    assert len(l1.names) == 1


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda _, entry: entry.hold(entry.stored, entry.stored), id="another record"),
        pytest.param(lambda _, entry: entry.outdate(99, 1), id="it is outdated"),
        pytest.param(lambda l1, _: l1.put(an_entry("a")), id="another entry"),
        pytest.param(lambda l1, _: l1.resize(1, 1), id="it is evicted"),
        pytest.param(lambda l1, _: l1.names.clear(), id="all names are forgotten"),
    ],
)
def test_an_answer_is_not_found_after(change: Callable[[L1, Entry], None]) -> None:
    l1, entry = named()

    change(l1, entry)

    assert l1.names.find(LINE + REST) is None
