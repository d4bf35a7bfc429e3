from datetime import UTC, datetime, timedelta
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moorline_sidecar.hot.plain import LAST_INSTANT

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MS_OF_A_DAY = 86_400_000
moments = st.integers(0, LAST_INSTANT)


@pytest.mark.parametrize(
    ("ms", "expected"),
    [
        pytest.param(0, b"1970-01-01T00:00:00.000Z", id="epoch"),
        pytest.param(1, b"1970-01-01T00:00:00.001Z", id="a millisecond"),
        pytest.param(999, b"1970-01-01T00:00:00.999Z", id="end of a second"),
        pytest.param(1_000, b"1970-01-01T00:00:01.000Z", id="a second"),
        pytest.param(1_700_000_000_000, b"2023-11-14T22:13:20.000Z", id="a round number"),
        pytest.param(1_709_164_800_010, b"2024-02-29T00:00:00.010Z", id="leap day"),
        pytest.param(951_782_400_000, b"2000-02-29T00:00:00.000Z", id="leap day of a century"),
        pytest.param(4_102_444_799_999, b"2099-12-31T23:59:59.999Z", id="end of a century"),
        pytest.param(4_107_542_400_000, b"2100-03-01T00:00:00.000Z", id="no leap day"),
        pytest.param(LAST_INSTANT, b"9999-12-31T23:59:59.999Z", id="the last"),
    ],
)
def test_an_instant_is_rfc_3339_with_milliseconds_in_utc(
    implementation: ModuleType, ms: int, expected: bytes
) -> None:
    assert implementation.instant(ms) == expected


@pytest.mark.parametrize(
    ("ms", "expected"),
    [
        *((ms, 0) for ms in (-1, -62_135_596_800_000, -(2**63), -(2**200))),
        *((ms, LAST_INSTANT) for ms in (LAST_INSTANT + 1, 2**63, 2**200)),
    ],
)
def test_what_has_no_text_of_that_length_is_shown_as_the_nearest(
    implementation: ModuleType, ms: int, expected: int
) -> None:
    assert implementation.instant(ms) == implementation.instant(expected)


@given(moments)
def test_an_instant_is_read_back_as_it_was(implementation: ModuleType, ms: int) -> None:
    read = datetime.fromisoformat(implementation.instant(ms).decode())

    assert (read - EPOCH) // timedelta(milliseconds=1) == ms


@given(moments, moments)
def test_instants_sort_as_text(implementation: ModuleType, one: int, other: int) -> None:
    assert (implementation.instant(one) < implementation.instant(other)) is (one < other)


def test_every_day_is_that_of_the_calendar(implementation: ModuleType) -> None:
    days = LAST_INSTANT // MS_OF_A_DAY + 1
    # A prime, so that 65 years of them meet each day of the month, and of February.
    for day in range(0, days, 13):
        expected = (EPOCH + timedelta(days=day)).strftime("%Y-%m-%dT00:00:00.000Z").encode()

        assert implementation.instant(day * MS_OF_A_DAY) == expected
