import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from moorline_sidecar.domain.changes import Patch
from moorline_sidecar.errors import InvalidValue
from msgspec import UNSET

from tests.sidecar.http.readers import Reader, create, patch, renew, replace

TEN_YEARS_S = 315_360_000


@pytest.mark.parametrize(
    ("seconds", "expected_ms"),
    [
        pytest.param("0", 0, id="never"),
        pytest.param("0.0", 0, id="never, as a double"),
        pytest.param("1", 1_000, id="integer"),
        pytest.param("1.5", 1_500, id="double"),
        pytest.param("0.001", 1, id="a millisecond"),
        pytest.param("0.0001", 1, id="a part of one is not never"),
        pytest.param("2.007", 2_007, id="what binary fractions cannot hold"),
        pytest.param("1e3", 1_000_000, id="exponent"),
        pytest.param(str(TEN_YEARS_S), TEN_YEARS_S * 1_000, id="ten years"),
    ],
)
@pytest.mark.parametrize("read", [create, replace, patch])
def test_max_idle_is_in_seconds(read: Reader, seconds: str, expected_ms: int) -> None:
    changes = read(f'{{"maxIdleSeconds": {seconds}}}'.encode())

    assert isinstance(changes, Patch)
    assert changes.max_idle_ms == expected_ms
    assert changes.principal is UNSET


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param("-1", id="negative"),
        pytest.param("-0.001", id="a little negative"),
        pytest.param(str(TEN_YEARS_S + 1), id="beyond ten years"),
        pytest.param("1e300", id="far beyond"),
        pytest.param("99999999999999999999", id="beyond 64 bits"),
    ],
)
@pytest.mark.parametrize("read", [create, replace, patch, renew])
def test_max_idle_is_up_to_ten_years(read: Reader, seconds: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        read(f'{{"maxIdleSeconds": {seconds}}}'.encode())

    assert refused.value.pointer == "/maxIdleSeconds"


@given(st.integers(0, TEN_YEARS_S * 1_000))
@example(2_007)
def test_the_max_idle_that_a_session_shows_may_be_written_back(ms: int) -> None:
    body = b'{"maxIdleSeconds": %b}' % msgspec.json.encode(ms / 1_000)

    assert patch(body).max_idle_ms == ms
