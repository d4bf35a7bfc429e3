import pytest
from moorline_sidecar.domain.policies import is_urgent
from moorline_sidecar.hot import Times

from tests.contract.sessions import IDLE, T0
from tests.sidecar.domain.facts import MINUTE, some_times

EXPIRY = T0 + IDLE


def accessed_at(now: int) -> Times:
    """The stored times are those of the creation; since then there was one access."""
    return some_times(own_accessed=now, own_expiry=now + IDLE)


@pytest.mark.parametrize(
    ("times", "period_ms", "expected"),
    [
        pytest.param(accessed_at(T0 + 1), MINUTE, False, id="much life is stored"),
        pytest.param(accessed_at(EXPIRY - 2 * MINUTE), MINUTE, False, id="two periods left"),
        pytest.param(accessed_at(EXPIRY - 2 * MINUTE + 1), MINUTE, True, id="less than two left"),
        pytest.param(accessed_at(EXPIRY - 6_000), 1_000, False, id="short period-time to write"),
        pytest.param(accessed_at(EXPIRY - 5_999), 1_000, True, id="short period-too little"),
        pytest.param(accessed_at(EXPIRY - 1), MINUTE, True, id="nothing left"),
        pytest.param(accessed_at(EXPIRY + 1), MINUTE, True, id="stored life is over"),
        pytest.param(accessed_at(T0 + 1), 0, True, id="each access is written"),
        pytest.param(accessed_at(T0), 0, False, id="each access is written-this one is"),
        pytest.param(accessed_at(T0 - 1), MINUTE, False, id="another accessed it later"),
        pytest.param(
            some_times(own_accessed=EXPIRY, own_expiry=None, stored_expiry=None, max_idle_ms=0),
            MINUTE,
            False,
            id="never expires",
        ),
        pytest.param(
            some_times(own_accessed=EXPIRY - 1, deadline=EXPIRY, own_expiry=EXPIRY),
            MINUTE,
            False,
            id="the deadline ends it anyway",
        ),
    ],
)
def test_an_access_is_written_at_once_when_little_life_is_stored(
    times: Times, period_ms: int, *, expected: bool
) -> None:
    assert is_urgent(times, period_ms) is expected
