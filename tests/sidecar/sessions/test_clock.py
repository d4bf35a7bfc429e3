import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moorline_sidecar.sessions.clock import ManualClock, StoreClock

T0 = 1_800_000_000_000
YEAR_MS = 365 * 86_400_000

round_trips = st.tuples(st.integers(0, 10**9), st.integers(0, 5_000), st.integers(0, 5_000))


def offset_of(clock: StoreClock) -> int:
    """What the clock adds to the monotonic one, read twice within the same millisecond."""
    while True:
        before = clock.monotonic()
        now = clock.now()
        if clock.monotonic() == before:
            return now - before


def test_until_the_store_has_been_heard_it_is_the_nodes_clock() -> None:
    before = time.time_ns() // 1_000_000
    now = StoreClock().now()
    after = time.time_ns() // 1_000_000

    # Both readings are cut to whole milliseconds.
    assert before - 2 <= now <= after + 2


def test_the_monotonic_reading_never_goes_back() -> None:
    clock = StoreClock()
    readings = [clock.monotonic() for _ in range(100)]

    assert readings == sorted(readings)


@pytest.mark.parametrize("skew", [-YEAR_MS, -1_000, 1_000, YEAR_MS])
def test_a_skewed_node_takes_over_the_time_of_the_store(skew: int) -> None:
    clock = StoreClock()
    store_offset = offset_of(clock) + skew
    clock.learn(store_now=5_010 + store_offset, asked_at=5_000, answered_at=5_020)

    assert offset_of(clock) == store_offset


def test_half_the_round_trip_is_the_guess() -> None:
    clock = StoreClock()
    clock.learn(store_now=T0, asked_at=1_000, answered_at=1_400)

    assert offset_of(clock) == T0 - 1_200


@pytest.mark.parametrize(
    ("store_now", "asked_at", "answered_at"),
    [
        pytest.param(T0 + 1_000, 1_000, 1_000, id="the same again"),
        pytest.param(T0 + 1_500, 1_500, 2_500, id="read at the beginning of a long trip"),
        pytest.param(T0 + 2_500, 1_500, 2_500, id="read at the end of a long trip"),
        pytest.param(T0 + 2_000, 1_500, 2_500, id="read in the middle of a long trip"),
    ],
)
def test_what_may_be_right_is_kept(store_now: int, asked_at: int, answered_at: int) -> None:
    clock = StoreClock()
    clock.learn(store_now=T0, asked_at=0, answered_at=0)
    clock.learn(store_now, asked_at, answered_at)

    assert offset_of(clock) == T0


@pytest.mark.parametrize(
    ("store_now", "expected"),
    [
        pytest.param(T0 + 1_499, T0 - 501, id="the store is behind"),
        pytest.param(T0 + 2_501, T0 + 501, id="the store is ahead"),
    ],
)
def test_what_cannot_be_right_is_not(store_now: int, expected: int) -> None:
    clock = StoreClock()
    clock.learn(store_now=T0, asked_at=0, answered_at=0)
    clock.learn(store_now, asked_at=1_500, answered_at=2_500)

    assert offset_of(clock) == expected


@given(st.lists(round_trips, min_size=1, max_size=5), st.integers(-YEAR_MS, YEAR_MS))
def test_the_clock_is_wrong_by_no_more_than_the_last_round_trip(
    trips: list[tuple[int, int, int]], store_offset: int
) -> None:
    clock = StoreClock()
    for asked_at, there, back in trips:
        clock.learn(asked_at + there + store_offset, asked_at, asked_at + there + back)

        assert abs(offset_of(clock) - store_offset) <= there + back


def test_a_manual_clock_moves_when_a_test_moves_it() -> None:
    clock = ManualClock(T0)
    clock.learn(T0 + 5, 0, 0)
    assert (clock.now(), clock.monotonic()) == (T0, 0)

    clock.advance(7)
    assert (clock.now(), clock.monotonic()) == (T0 + 7, 7)
