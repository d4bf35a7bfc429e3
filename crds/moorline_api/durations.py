"""Durations as Kubernetes users write them: Go's `time.ParseDuration`, without signs."""

import re
from fractions import Fraction
from functools import lru_cache
from typing import Final

from moorline_api.errors import InvalidDuration

# Longest text, in characters: it holds any duration of use, and bounds the cost of CEL rules.
DURATION_MAX_LENGTH: Final = 24
# Both code points of the micro sign, as in Go: U+00B5 and the Greek letter U+03BC.
DURATION_PATTERN: Final = "^(0|([0-9]+(\\.[0-9]+)?(ns|us|\u00b5s|\u03bcs|ms|s|m|h))+)$"

_TERM: Final = re.compile("([0-9.]+)([^0-9.]+)")
_NS_PER_UNIT: Final = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,
    "\u03bcs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_NS_PER_MS: Final = 1_000_000
# Go and CEL count nanoseconds in 64 signed bits.
_MAX_NS: Final = 2**63 - 1


@lru_cache(1_024)  # People write few different ones, and each is read for every rule about it.
def duration_ns(text: str) -> int:
    """Nanoseconds; what is below one is cut off, in each term, as Go does.

    Raises:
        InvalidDuration: the text does not match `DURATION_PATTERN`, or means over 292 years.
    """
    if len(text) > DURATION_MAX_LENGTH or not re.fullmatch(DURATION_PATTERN, text):
        raise InvalidDuration(text)
    terms = _TERM.findall(text)
    total = sum(int(Fraction(number) * _NS_PER_UNIT[unit]) for number, unit in terms)
    if total > _MAX_NS:
        raise InvalidDuration(text)
    return total


def duration_ms(text: str) -> int:
    """Milliseconds, exact; a part of one counts as a whole, so that only `0` means zero.

    Raises:
        InvalidDuration: as `duration_ns`.
    """
    return -(-duration_ns(text) // _NS_PER_MS)
