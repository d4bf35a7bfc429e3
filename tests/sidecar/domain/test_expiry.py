from typing import Any

import pytest
from moorline_sidecar.domain.ids import Hint
from moorline_sidecar.domain.policies import (
    deadline_of,
    expiry_of,
    holds_newest_access,
    is_expired,
    slack,
    touch_period,
)
from moorline_sidecar.hot import Times

from tests.contract.sessions import IDLE, T0
from tests.sidecar.domain.facts import HERE, MINUTE, SECOND, THERE, a_policy, some_times

POLICY = a_policy()
EXPIRY = T0 + IDLE
# One touch period of a minute, and 5 s.
SLACK = 65 * SECOND


@pytest.mark.parametrize(
    ("max_idle_ms", "deadline", "expected"),
    [
        pytest.param(IDLE, None, T0 + IDLE, id="idle"),
        pytest.param(0, None, None, id="never"),
        pytest.param(0, T0 + MINUTE, T0 + MINUTE, id="deadline only"),
        pytest.param(IDLE, T0 + IDLE + 1, T0 + IDLE, id="idle before the deadline"),
        pytest.param(IDLE, T0 + IDLE - 1, T0 + IDLE - 1, id="never later than the deadline"),
        pytest.param(IDLE, T0 - 1, T0 - 1, id="deadline has passed"),
    ],
)
def test_expiry_is_the_access_plus_max_idle_and_never_after_the_deadline(
    max_idle_ms: int, deadline: int | None, expected: int | None
) -> None:
    assert expiry_of(T0, max_idle_ms, deadline) == expected


@pytest.mark.parametrize(
    ("max_age_ms", "expected"),
    [pytest.param(0, None, id="no maxAge"), pytest.param(MINUTE, T0 + MINUTE, id="maxAge")],
)
def test_the_deadline_is_absolute(max_age_ms: int, expected: int | None) -> None:
    assert deadline_of(a_policy(max_age_ms=max_age_ms), T0) == expected


@pytest.mark.parametrize(
    ("touch_period_ms", "max_idle_ms", "expected"),
    [
        pytest.param(MINUTE, IDLE, MINUTE, id="long idle"),
        pytest.param(MINUTE, 10 * MINUTE, MINUTE, id="ten periods"),
        pytest.param(MINUTE, 10 * MINUTE - 10, MINUTE - 1, id="just under ten periods"),
        pytest.param(MINUTE, MINUTE, 6 * SECOND, id="a tenth of its own maxIdle"),
        pytest.param(MINUTE, 0, MINUTE, id="never idle"),
        pytest.param(MINUTE, 9, 0, id="shorter than ten milliseconds"),
        pytest.param(0, IDLE, 0, id="each access is written"),
        pytest.param(0, 0, 0, id="each access is written, never idle"),
    ],
)
def test_the_touch_period_is_at_most_a_tenth_of_the_sessions_own_max_idle(
    touch_period_ms: int, max_idle_ms: int, expected: int
) -> None:
    policy = a_policy(touch_period_ms=touch_period_ms)

    assert touch_period(policy, max_idle_ms) == expected
    assert slack(policy, max_idle_ms) == expected + 5 * SECOND


@pytest.mark.parametrize(
    ("fields", "hint", "expected"),
    [
        pytest.param({}, None, True, id="its own access is the stored one"),
        pytest.param({"own_accessed": T0 + 1}, None, True, id="its own is newer"),
        pytest.param({"own_accessed": T0 - 1}, None, False, id="the stored one is newer"),
        pytest.param({"stored_node": THERE}, None, False, id="another wrote the stored one"),
        pytest.param(
            {"stored_node": THERE, "own_accessed": T0 + 1},
            None,
            False,
            id="its own is newer but another wrote last",
        ),
        pytest.param({}, Hint(1, HERE), True, id="the hint names it"),
        pytest.param({}, Hint(0, HERE), True, id="a suffix names it"),
        pytest.param({}, Hint(1, THERE), False, id="the hint names another"),
        pytest.param({}, Hint(0, THERE), False, id="a suffix names another"),
    ],
)
def test_who_holds_the_newest_access(
    fields: dict[str, Any], hint: Hint | None, *, expected: bool
) -> None:
    assert holds_newest_access(POLICY, some_times(**fields), hint) is expected


HOLDER = some_times()
OTHER = some_times(stored_node=THERE)


@pytest.mark.parametrize(
    ("times", "hint", "now", "expected"),
    [
        pytest.param(HOLDER, None, EXPIRY - 1, False, id="holder-last millisecond"),
        pytest.param(HOLDER, None, EXPIRY, True, id="holder-at once"),
        pytest.param(HOLDER, Hint(1, HERE), EXPIRY, True, id="holder-named by the hint"),
        pytest.param(HOLDER, Hint(1, THERE), EXPIRY, False, id="hint to another-at expiry"),
        pytest.param(
            HOLDER, Hint(1, THERE), EXPIRY + SLACK, False, id="hint to another-last of slack"
        ),
        pytest.param(
            HOLDER, Hint(1, THERE), EXPIRY + SLACK + 1, True, id="hint to another-behind slack"
        ),
        pytest.param(OTHER, None, EXPIRY, False, id="other-at expiry"),
        pytest.param(OTHER, Hint(1, HERE), EXPIRY, False, id="other-named by the hint"),
        pytest.param(OTHER, None, EXPIRY + SLACK, False, id="other-last of slack"),
        pytest.param(OTHER, None, EXPIRY + SLACK + 1, True, id="other-behind slack"),
        pytest.param(
            some_times(own_accessed=T0 - MINUTE, own_expiry=EXPIRY - MINUTE),
            None,
            EXPIRY,
            False,
            id="own access is older-judged by the stored one",
        ),
        pytest.param(
            some_times(own_accessed=T0 + MINUTE, own_expiry=EXPIRY + MINUTE),
            None,
            EXPIRY + MINUTE - 1,
            False,
            id="own access is unwritten-it counts",
        ),
        pytest.param(
            some_times(own_accessed=T0 + MINUTE, own_expiry=EXPIRY + MINUTE),
            None,
            EXPIRY + MINUTE,
            True,
            id="own access is unwritten-at once",
        ),
        pytest.param(
            some_times(max_idle_ms=0, own_expiry=None, stored_expiry=None),
            None,
            T0 + 10**12,
            False,
            id="never-holder",
        ),
        pytest.param(
            some_times(max_idle_ms=0, own_expiry=None, stored_expiry=None, stored_node=THERE),
            None,
            T0 + 10**12,
            False,
            id="never-other",
        ),
    ],
)
def test_idle_expiry_is_never_early_and_at_most_slack_late(
    times: Times, hint: Hint | None, now: int, *, expected: bool
) -> None:
    assert is_expired(POLICY, times, hint, now) is expected


def test_an_access_of_this_worker_keeps_a_session_that_another_wrote_last() -> None:
    # In an outage accesses stay unwritten for longer than the slack.
    own = EXPIRY + 10 * MINUTE
    times = some_times(stored_node=THERE, own_accessed=own - IDLE, own_expiry=own)

    assert not is_expired(POLICY, times, None, EXPIRY + SLACK + 1)
    assert not is_expired(POLICY, times, Hint(1, HERE), EXPIRY + SLACK + 1)


@pytest.mark.parametrize("node", [HERE, THERE])
@pytest.mark.parametrize("hint", [None, Hint(1, HERE), Hint(1, THERE)], ids=str)
def test_the_deadline_is_exact_for_everyone(node: str, hint: Hint | None) -> None:
    deadline = T0 + 5 * MINUTE
    times = some_times(
        stored_node=node, deadline=deadline, own_expiry=deadline, stored_expiry=deadline
    )

    assert not is_expired(POLICY, times, hint, deadline - 1)
    assert is_expired(POLICY, times, hint, deadline)


def test_the_slack_follows_the_sessions_own_max_idle() -> None:
    times = some_times(
        max_idle_ms=MINUTE, own_expiry=T0 + MINUTE, stored_expiry=T0 + MINUTE, stored_node=THERE
    )
    last = T0 + MINUTE + 6 * SECOND + 5 * SECOND

    assert not is_expired(POLICY, times, None, last)
    assert is_expired(POLICY, times, None, last + 1)
