import re
from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moorline_api import InvalidDuration, duration_ms, duration_ns

NS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("0.0h", 0),
        ("90s", 90_000),
        ("1h30m", 5_400_000),
        ("30m1h", 5_400_000),
        ("500ms", 500),
        ("1.5h", 5_400_000),
        ("168h", 604_800_000),
        ("1h1h", 7_200_000),
        ("0.1s", 100),
        ("0.001s", 1),
        ("1000us", 1),
        ("1001us", 2),
        ("1ns", 1),
        ("999999ns", 1),
        ("1000\u00b5s", 1),
        ("1000\u03bcs", 1),
        ("2562047h47m16.854s", 9_223_372_036_854),
    ],
)
def test_a_duration_is_read_as_go_reads_it(text: str, milliseconds: int) -> None:
    assert duration_ms(text) == milliseconds


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "1", "-1s", "+1s", "1 s", "1s ", "1s\n", "s", "1d", "1w", "1H", "1min", "1e3s"),
        *(".5s", "5.s", "1..5s", "1,5s", "00", "0x1s", "1s-1s", "\u0661s", "3 days", "PT1H"),
        "2562048h",
        "9223372036854775808ns",
        "1s" * 13,
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidDuration) as raised:
        duration_ms(text)

    assert raised.value.text == text


@st.composite
def terms(draw: st.DrawFn) -> list[tuple[str, str]]:
    number = st.from_regex(re.compile(r"[0-9]{1,4}(\.[0-9]{1,3})?", re.ASCII), fullmatch=True)
    return draw(st.lists(st.tuples(number, st.sampled_from(list(NS))), min_size=1, max_size=2))


@given(terms())
def test_a_duration_is_the_sum_of_its_terms(parts: list[tuple[str, str]]) -> None:
    text = "".join(number + unit for number, unit in parts)

    exact = sum(int(Fraction(number) * NS[unit]) for number, unit in parts)

    assert duration_ns(text) == exact
    assert 0 <= duration_ms(text) * 10**6 - exact < 10**6


@given(st.integers(min_value=0, max_value=2**63 // 10**6 - 1))
def test_whole_milliseconds_come_back_as_they_are(milliseconds: int) -> None:
    assert duration_ms(f"{milliseconds}ms") == milliseconds
    assert duration_ms(f"{milliseconds // 1000}.{milliseconds % 1000:03}s") == milliseconds


@given(st.text(alphabet="0123456789.nuµmsh+- eE", max_size=26))
def test_no_text_does_anything_but_mean_a_duration_or_be_refused(text: str) -> None:
    with suppress(InvalidDuration):
        assert duration_ms(text) >= 0
