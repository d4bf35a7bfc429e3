import math
import re
from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moorline_api import InvalidQuantity, size_bytes

FACTORS = {
    "": 1,
    **{suffix: 1000**power for power, suffix in enumerate("kMGTPE", start=1)},
    **{f"{suffix}i": 1024**power for power, suffix in enumerate("KMGTPE", start=1)},
}


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (1_048_576, 1_048_576),
        (0, 0),
        ("0", 0),
        ("1048576", 1_048_576),
        ("1Mi", 1_048_576),
        ("64Mi", 67_108_864),
        ("1k", 1000),
        ("1M", 1_000_000),
        ("1.5Gi", 1_610_612_736),
        ("0.1k", 100),
        ("0.0001k", 1),
        ("1.0001", 2),
        ("1E", 10**18),
        ("1E3", 1000),
        ("1e3", 1000),
        ("1.048576e+06", 1_048_576),
        ("7Ei", 7 * 2**60),
        (2**63 - 1, 2**63 - 1),
    ],
    ids=repr,
)
def test_a_size_is_read_as_kubernetes_reads_it(value: int | str, size: int) -> None:
    assert size_bytes(value) == size


@pytest.mark.parametrize(
    "value",
    [
        *("", " ", "Mi", "1 Mi", "1Mi ", "1Mi\n", "1MB", "1mi", "1K", "1ki", "-1Mi", "+1Mi"),
        *(".5Gi", "1.", "1,5Gi", "1e", "1e-3", "1e100", "0x10", "1_000", "\u0661Mi", "100m", -1),
        *("8Ei", "9223372036854775808", 2**63, "9e18E", "0" * 25),
    ],
    ids=repr,
)
def test_what_is_no_size_is_refused(value: int | str) -> None:
    with pytest.raises(InvalidQuantity) as raised:
        size_bytes(value)

    assert raised.value.value == value


@given(
    number=st.from_regex(re.compile(r"[0-9](\.[0-9]{1,3})?", re.ASCII), fullmatch=True),
    suffix=st.sampled_from([suffix for suffix in FACTORS if suffix not in {"E", "Ei"}]),
)
def test_a_size_is_its_number_times_its_suffix(number: str, suffix: str) -> None:
    assert size_bytes(number + suffix) == math.ceil(Fraction(number) * FACTORS[suffix])


@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_a_number_and_its_text_are_the_same_size(value: int) -> None:
    assert size_bytes(value) == size_bytes(str(value)) == value


@given(st.text(alphabet="0123456789.kKMGTPEie+- ", max_size=26))
def test_no_text_does_anything_but_mean_a_size_or_be_refused(text: str) -> None:
    with suppress(InvalidQuantity):
        assert size_bytes(text) >= 0
