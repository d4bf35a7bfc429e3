"""Sizes in bytes as Kubernetes users write them: its quantities, without signs and parts of bytes.

Source: Kubernetes `apimachinery/pkg/api/resource.Quantity`.
"""

import math
import re
from fractions import Fraction
from typing import Final

from moorline_api.errors import InvalidQuantity

# Longest text, in characters.
QUANTITY_MAX_LENGTH: Final = 24

_SUFFIX: Final = "([kMGTPE]|[KMGTPE]i|[eE][+]?[0-9]{1,2})?"
_SIZE: Final = re.compile(f"([0-9]+(?:[.][0-9]+)?){_SUFFIX}")
# A size that is more than nothing: at least one digit is not 0.
SIZE_PATTERN: Final = f"^(0[.]0*[1-9][0-9]*|0*[1-9][0-9]*([.][0-9]+)?){_SUFFIX}$"
# The most that an `int64` of the Kubernetes API holds, in bytes.
_MAX_SIZE: Final = 2**63 - 1
_DECIMAL: Final = {"": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


def size_bytes(value: int | str) -> int:
    """Bytes; a part of one counts as a whole, as in `Quantity.Value`.

    Raises:
        InvalidQuantity: it is no size, is negative, or does not fit into 63 bits.
    """
    size = value if isinstance(value, int) else _parsed(value)
    if not 0 <= size <= _MAX_SIZE:
        raise InvalidQuantity(value)
    return size


def _parsed(text: str) -> int:
    match = _SIZE.fullmatch(text)
    if match is None or len(text) > QUANTITY_MAX_LENGTH:
        raise InvalidQuantity(text)
    number, suffix = match.groups(default="")
    return math.ceil(Fraction(number) * _factor(suffix))


def _factor(suffix: str) -> int:
    if suffix in _BINARY:
        return 1 << _BINARY[suffix]
    # A lone E is exa; with digits it is an exponent.
    exponent = _DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:])
    return int(10**exponent)
