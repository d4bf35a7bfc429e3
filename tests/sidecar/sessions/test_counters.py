import dataclasses
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moorline_sidecar.sessions.counters import Counters

lifetimes = st.lists(st.integers(0, 10**10), min_size=1, max_size=30)


def counted(lifetimes_ms: list[int]) -> Counters:
    counters = Counters()
    for lifetime_ms in lifetimes_ms:
        counters.count_end(lifetime_ms)
    return counters


def test_all_counters_begin_at_zero() -> None:
    counters = Counters()

    assert set(dataclasses.astuple(counters)) == {0}
    assert counters.lifetime_stddev_ms == 0


@given(lifetimes)
def test_session_times_are_summed_up(lifetimes_ms: list[int]) -> None:
    counters = counted(lifetimes_ms)

    assert counters.ended_lifetimes == len(lifetimes_ms)
    assert counters.lifetime_total_ms == sum(lifetimes_ms)
    assert counters.lifetime_max_ms == max(lifetimes_ms)
    assert counters.lifetime_mean_ms == pytest.approx(statistics.fmean(lifetimes_ms))


@given(st.lists(st.integers(0, 10**10), min_size=2, max_size=30))
def test_the_deviation_is_that_of_the_sample(lifetimes_ms: list[int]) -> None:
    deviation = counted(lifetimes_ms).lifetime_stddev_ms

    assert deviation == pytest.approx(statistics.stdev(lifetimes_ms), rel=1e-6, abs=1e-3)


def test_one_session_does_not_deviate() -> None:
    assert counted([5_000]).lifetime_stddev_ms == 0


def test_small_differences_of_long_lives_are_not_lost() -> None:
    # A sum of squares would have the difference of two numbers of 1e26.
    deviation = counted([10**13, 10**13 + 2]).lifetime_stddev_ms

    assert deviation == pytest.approx(statistics.stdev([0, 2]))
