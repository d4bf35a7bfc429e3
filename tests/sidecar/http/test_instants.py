from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moorline_sidecar.http.instants import instant

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# To the last millisecond of 9999, the last year that RFC 3339 can write.
moments = st.integers(0, 253_402_300_799_999)


@pytest.mark.parametrize(
    ("ms", "expected"),
    [
        pytest.param(0, b"1970-01-01T00:00:00.000Z", id="epoch"),
        pytest.param(1, b"1970-01-01T00:00:00.001Z", id="a millisecond"),
        pytest.param(999, b"1970-01-01T00:00:00.999Z", id="end of a second"),
        pytest.param(1_000, b"1970-01-01T00:00:01.000Z", id="a second"),
        pytest.param(1_700_000_000_000, b"2023-11-14T22:13:20.000Z", id="a round number"),
        pytest.param(1_709_164_800_010, b"2024-02-29T00:00:00.010Z", id="leap day"),
        pytest.param(4_102_444_799_999, b"2099-12-31T23:59:59.999Z", id="end of a century"),
    ],
)
def test_an_instant_is_rfc_3339_with_milliseconds_in_utc(ms: int, expected: bytes) -> None:
    assert instant(ms) == expected


@given(moments)
def test_an_instant_is_read_back_as_it_was(ms: int) -> None:
    read = datetime.fromisoformat(instant(ms).decode())

    assert (read - EPOCH) // timedelta(milliseconds=1) == ms


@given(moments, moments)
def test_instants_sort_as_text(one: int, other: int) -> None:
    assert (instant(one) < instant(other)) is (one < other)
