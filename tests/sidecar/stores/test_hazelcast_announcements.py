"""What a reader of the ring makes of announcements, in whatever order writers come and die."""

import pytest
from moorline_sidecar.domain.session import Reason, Tombstone
from moorline_sidecar.stores import hazelcast_announcements as announcements
from moorline_sidecar.stores.base import Seen
from moorline_sidecar.stores.decisions import DELETED
from moorline_sidecar.stores.hazelcast_announcements import (
    ASK_SECONDS_MAX,
    ITEM_CHANGES,
    OPEN_SECONDS,
    Announcement,
    Begun,
    Opens,
    Over,
    announcement_of,
    checksum,
    items_of,
    step_of,
)
from moorline_sidecar.stores.transitions import settled, touched, without_grace, written

from tests.contract.sessions import a_session, a_touch, an_end, with_attributes

KEY = "session-1"
TEXT = "as it was"
NOW = 100.0
LATE = NOW + OPEN_SECONDS


def begun(number: int, version: int = 2, key: str = KEY) -> Announcement:
    return Announcement(begun=[Begun(number, key, version, checksum(TEXT))])


def applied(number: int, version: int = 2, key: str = KEY) -> Announcement:
    return Announcement(over=[Over(number, key, is_applied=True, version=version)])


def never(number: int, key: str = KEY) -> Announcement:
    return Announcement(over=[Over(number, key, is_applied=False)])


def followed(*news: Announcement, asked_at: int | None = 7) -> tuple[Opens, list[Seen]]:
    """After one reply, the one before which was asked for at `asked_at`."""
    return announcements.follow({}, news, asked_at, NOW)


def test_an_item_is_read_as_it_was_written() -> None:
    begins = [Begun(2**63 - 1, KEY, 2, checksum(TEXT))]
    ends = [Over(7, KEY, is_applied=True, version=3, reason=Reason.LOGOUT, at=9)]

    (item,) = items_of(begins, ends)
    assert announcement_of(item) == Announcement(begins, ends)


@pytest.mark.parametrize(("begins", "ends"), [(64, 3), (3, 64), (64, 64)])
def test_many_changes_are_announced_in_items_of_few(begins: int, ends: int) -> None:
    begun = [Begun(n, KEY, 2, checksum(TEXT)) for n in range(begins)]
    over = [Over(n, KEY, is_applied=False) for n in range(ends)]

    read = [announcement_of(item) for item in items_of(begun, over)]

    assert len(read) == 64 / ITEM_CHANGES
    assert [each for part in read for each in part.begun] == begun
    assert [each for part in read for each in part.over] == over


@pytest.mark.parametrize("item", [bytearray(b"\xc1"), bytearray(b"\x01"), "a text", None], ids=repr)
def test_what_others_put_into_the_ring_tells_nothing(item: object) -> None:
    assert announcement_of(item) == Announcement()


def test_what_was_applied_is_told_at_its_end() -> None:
    assert followed(begun(1))[1] == []

    opens, seen = followed(begun(1), applied(1))

    assert (opens, seen) == ({}, [Seen(key=KEY, version=2)])


def test_what_was_not_applied_is_not_told() -> None:
    assert followed(begun(1), never(1)) == ({}, [])


def test_an_end_whose_beginning_was_before_the_stream_is_told() -> None:
    assert followed(applied(1)) == ({}, [Seen(key=KEY, version=2)])


def test_a_change_that_is_told_too_late_to_be_in_order_is_not_told() -> None:
    opens, seen = followed(begun(1, 2), begun(2, 3), applied(2, 3), applied(1, 2))

    assert (opens, [each.version for each in seen]) == ({}, [3])


def test_a_deletion_leaves_what_else_is_under_way() -> None:
    gone = Announcement(over=[Over(2, KEY, is_applied=True)])

    opens, seen = followed(begun(1), begun(2), gone)

    assert (set(opens), seen) == ({1}, [Seen(key=KEY, version=None)])


def test_all_is_complete_where_nothing_is_under_way() -> None:
    assert announcements.complete({}, 9) == 9


def test_what_is_under_way_holds_up_what_is_complete_until_it_is_over() -> None:
    opens, _ = followed(begun(1), asked_at=7)
    assert announcements.complete(opens, 9) == 7

    opens, _ = announcements.follow(opens, [begun(2, key="other")], 9, NOW)
    assert announcements.complete(opens, 11) == 7

    opens, _ = announcements.follow(opens, [applied(1)], 11, NOW)
    assert announcements.complete(opens, 13) == 9


def test_what_was_under_way_when_the_stream_began_leaves_open_what_is_complete() -> None:
    opens, _ = followed(begun(1), asked_at=None)

    assert announcements.complete(opens, 9) is None


def test_what_a_later_version_has_overtaken_holds_up_nothing() -> None:
    opens, _ = followed(begun(1, 2), begun(2, 3), applied(2, 3))

    assert set(opens) == {1}
    assert announcements.complete(opens, 9) == 9
    assert announcements.looked_at(opens, [KEY], {KEY: "another"}, LATE) == ({}, [])


def test_a_change_without_an_end_is_told_again_and_again() -> None:
    opens, _ = followed(begun(1))
    assert announcements.looked_at(opens, [], {}, LATE - 0.1) == (opens, [])

    for n in range(3):
        opens, seen = announcements.looked_at(opens, [], {}, LATE + n)
        assert seen == [Seen(key=KEY, version=2)]
        assert announcements.complete(opens, 9) == 9


def test_a_change_that_may_yet_be_applied_stays_open() -> None:
    opens, _ = followed(begun(1))

    opens, seen = announcements.looked_at(opens, [KEY], {KEY: TEXT}, LATE)

    assert (set(opens), len(seen)) == ({1}, 1)


@pytest.mark.parametrize("texts", [{KEY: "another"}, {}], ids=["it is another", "it is gone"])
def test_what_cannot_be_applied_any_more_is_told_for_the_last_time(texts: dict[str, str]) -> None:
    opens, _ = followed(begun(1))

    opens, seen = announcements.looked_at(opens, [KEY], texts, LATE)

    assert (opens, seen) == ({}, [Seen(key=KEY, version=2)])


def test_the_end_of_a_change_that_was_told_without_is_told() -> None:
    opens, _ = announcements.looked_at(followed(begun(1))[0], [KEY], {KEY: TEXT}, LATE)

    assert announcements.follow(opens, [applied(1)], 9, LATE + 1) == (
        {},
        [Seen(key=KEY, version=2)],
    )


def test_the_store_is_asked_less_and_less_often() -> None:
    opens, _ = followed(begun(1), begun(2))
    assert announcements.to_ask(opens, LATE - 0.1, 9) == []
    now, pauses = LATE, []
    for _ in range(12):
        assert announcements.to_ask(opens, now, 9) == [KEY]
        opens, _ = announcements.looked_at(opens, [KEY], {KEY: TEXT}, now)
        later = min(each.ask_at for each in opens.values())
        pauses.append(later - now)
        now = later

    assert pauses[:4] == [1, 2, 4, 8]
    assert pauses[-1] == ASK_SECONDS_MAX


def test_not_more_is_asked_than_is_allowed() -> None:
    opens, _ = followed(*(begun(n, key=f"session-{n}") for n in range(5)))

    assert announcements.to_ask(opens, LATE, 2) == ["session-0", "session-1"]


def test_times_and_what_becomes_of_an_end_are_not_announced() -> None:
    copy = a_session(renew_of="origin")
    later = touched(copy, a_touch(copy, copy.accessed + 1))
    _, tombstone = written(copy, an_end(grace_until=1))
    assert later is not None
    assert isinstance(tombstone, Tombstone)
    assert step_of("", copy, later, "").announced is None
    assert step_of("", copy, settled(copy), "").announced is None
    assert step_of("", tombstone, without_grace(tombstone), "").announced is None
    assert step_of("", tombstone, DELETED, None).announced is None


def test_changes_ends_and_deletions_are_announced() -> None:
    session = a_session()
    change = with_attributes(session, {"n": 1})
    _, ended = written(session, an_end(reason=Reason.ADMIN, now=5))
    assert ended is not None
    at = change.after.last_saved

    assert step_of("", session, change.after, "").announced == Seen(key=KEY, version=2, at=at)
    assert step_of("", session, ended, "").announced == Seen(
        key=KEY, version=2, is_valid=False, reason=Reason.ADMIN, at=5
    )
    assert step_of("", session, DELETED, None).announced == Seen(key=KEY, version=None)
