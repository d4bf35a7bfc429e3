from copy import copy

from hypothesis import assume, given
from hypothesis import strategies as st
from moorline_sidecar.domain.ids import Hint
from moorline_sidecar.domain.policies import (
    calm_until,
    expiry_of,
    is_expired,
    is_urgent,
    may_wait,
    touch_period,
)
from moorline_sidecar.hot import Times

from tests.contract.sessions import IDLE, T0
from tests.sidecar.domain.facts import HERE, THERE, a_policy, some_times

later_moments = st.integers(T0 + 1, T0 + 3 * IDLE)


def moved(times: Times, accessed: int) -> Times:
    """By an access of which nothing but idleness follows."""
    after = copy(times)
    after.own_accessed, after.own_expiry = accessed, accessed + times.max_idle_ms
    return after


@given(
    unwritten_ms=st.integers(1, IDLE),
    stored_expiry=later_moments | st.none(),
    deadline=later_moments | st.none(),
    max_idle_ms=st.integers(1, IDLE),
    stored_node=st.sampled_from([HERE, THERE]),
    hint=st.sampled_from([None, Hint(1, HERE), Hint(1, THERE)]),
    period_ms=st.integers(1, IDLE),
    part=st.floats(0, 1),
)
def test_until_then_an_access_is_neither_urgent_nor_too_late_nor_cut_short(  # noqa: PLR0913, PLR0917 drawn
    unwritten_ms: int,
    stored_expiry: int | None,
    deadline: int | None,
    max_idle_ms: int,
    stored_node: str,
    hint: Hint | None,
    period_ms: int,
    part: float,
) -> None:
    policy = a_policy(touch_period_ms=period_ms)
    times = some_times(
        own_expiry=expiry_of(T0, max_idle_ms, deadline),
        stored_accessed=T0 - unwritten_ms,
        stored_expiry=stored_expiry,
        deadline=deadline,
        max_idle_ms=max_idle_ms,
        stored_node=stored_node,
    )
    period = touch_period(policy, max_idle_ms)
    assume(period and not is_urgent(times, period))
    calm_ms = calm_until(times, period) - T0
    assume(calm_ms > 0)
    later = T0 + int(part * (calm_ms - 1))

    accessed = moved(times, later)

    assert not is_expired(policy, times, hint, later)
    assert not is_urgent(accessed, period)
    assert accessed.own_expiry == expiry_of(later, max_idle_ms, deadline)


@given(
    stored_expiry=later_moments | st.none(),
    max_idle_ms=st.integers(1, IDLE),
    period_ms=st.integers(0, IDLE),
    now=later_moments,
)
def test_an_access_that_may_wait_is_not_urgent(
    stored_expiry: int | None, max_idle_ms: int, period_ms: int, now: int
) -> None:
    times = some_times(stored_expiry=stored_expiry, max_idle_ms=max_idle_ms)
    accessed = moved(times, now)

    assert not (may_wait(times, now, period_ms) and is_urgent(accessed, period_ms))


def test_a_session_that_never_expires_is_never_calm() -> None:
    assert calm_until(some_times(max_idle_ms=0, own_expiry=None, stored_expiry=None), 1) == 0
