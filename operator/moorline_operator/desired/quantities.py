"""Quantities as the API server writes them, so that what is applied equals what is stored.

Source: Kubernetes `apimachinery/pkg/api/resource.Quantity.CanonicalizeBytes`.
"""

import math
import re
from fractions import Fraction
from typing import Final

_QUANTITY: Final = re.compile(r"([0-9]*\.?[0-9]*)([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?")
_DECIMAL: Final = {-9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"} | {
    12: "T",
    15: "P",
    18: "E",
}
_BINARY: Final = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_EXPONENTS: Final = {suffix: exponent for exponent, suffix in _DECIMAL.items()}
_NANO: Final = 10**9
_MOST: Final = 2**63 - 1
_FAR: Final = 50
"""An exponent beyond which a number of 24 characters is out of bounds; 1e999999999 takes hours."""


def canonical(quantity: int | str) -> str:
    """The one way of writing it; `quantity` is valid, and not below 0."""
    match = _QUANTITY.fullmatch(str(quantity))
    if match is None:
        return str(quantity)
    number, suffix = match[1], match[2] or ""
    value = Fraction(number if number.strip(".") else "0")
    if suffix in _BINARY[1:]:
        value = _bounded(value * 1024 ** _BINARY.index(suffix))
        # Below 1Ki, and with a part of a byte, it is written as a decimal.
        is_binary = value >= 1024 and value.denominator == 1  # noqa: PLR2004 - bytes in 1Ki
        return _as_binary(int(value)) if is_binary else _as_decimal(value, has_exponent=False)
    if suffix in _EXPONENTS:
        value *= Fraction(10) ** _EXPONENTS[suffix]
        return _as_decimal(_bounded(value), has_exponent=False)
    exponent = max(-_FAR, min(int(suffix[1:]), _FAR))
    value *= Fraction(10) ** exponent
    return _as_decimal(_bounded(value), has_exponent=True)


def _bounded(value: Fraction) -> Fraction:
    """Of what is smaller than a billionth the next one counts, as the most does of what is more."""
    return min(Fraction(math.ceil(value * _NANO), _NANO), Fraction(_MOST))


def _as_binary(value: int) -> str:
    power = 0
    while value % 1024 == 0 and power < len(_BINARY) - 1:
        value //= 1024
        power += 1
    return f"{value}{_BINARY[power]}"


def _as_decimal(value: Fraction, *, has_exponent: bool) -> str:
    if not value:
        return "0"
    billionths = int(value * _NANO)
    exponent = -9
    while billionths % 1000 == 0 and exponent < max(_DECIMAL):
        billionths //= 1000
        exponent += 3
    if has_exponent:
        return f"{billionths}e{exponent}" if exponent else str(billionths)
    return f"{billionths}{_DECIMAL[exponent]}"
