"""What a session can hold: the bounds of values, names, contexts and principals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from moorline_sidecar.domain.session import Json
from moorline_sidecar.errors import InvalidRequest, InvalidValue

INTEGER_MIN: Final = -(1 << 63)
INTEGER_MAX: Final = (1 << 63) - 1
"""The integers that every store keeps as integers."""

NESTING_MAX: Final = 64
"""Objects and arrays in one another; MongoDB ends at 100 for the whole document."""

NAME_BYTES_MAX: Final = 256
PRINCIPAL_BYTES_MAX: Final = 256
CONTEXT_BYTES_MAX: Final = 128

_encode: Final = msgspec.json.Encoder().encode


def json_size(value: Json) -> int:
    """The bytes that `value` takes as JSON without white space."""
    return len(_encode(value))


def check_attributes(attributes: Mapping[str, Json], pointer: str) -> None:
    """Raises InvalidValue unless a session can have all of these attributes."""
    for name, value in attributes.items():
        at = f"{pointer}/{escaped(name)}"
        check_name(name, at)
        check_value(value, at)


def escaped(name: str) -> str:
    """The name as a segment of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def check_value(value: Json, pointer: str) -> None:
    """Whether an attribute can have this value; `pointer` is its place in the request.

    Raises:
        InvalidValue: an integer is beyond 64 bits, or the nesting beyond 64.
    """
    # The outermost pair stands for the request itself, so that the value is checked like any other.
    pending: list[tuple[tuple[str | int, ...], Json]] = [((), [value])]
    while pending:
        trail, container = pending.pop()
        for step, item in _entries(container):
            kind = type(item)
            if kind is int:
                if not INTEGER_MIN <= item <= INTEGER_MAX:
                    where = _pointer(pointer, (*trail, step))
                    raise InvalidValue(where, "an integer has at most 64 bits")
            elif kind is dict or kind is list:
                if len(trail) >= NESTING_MAX:
                    where = _pointer(pointer, (*trail, step))
                    raise InvalidValue(where, f"values nest at most {NESTING_MAX} deep")
                pending.append(((*trail, step), item))


def check_name(name: str, pointer: str) -> None:
    """Raises InvalidValue unless an attribute can have this name."""
    _check_length(name, NAME_BYTES_MAX, pointer, "the name of an attribute")


def check_principal(principal: str, pointer: str) -> None:
    """Raises InvalidValue unless a session can belong to this principal."""
    _check_length(principal, PRINCIPAL_BYTES_MAX, pointer, "a principal")


def check_context(context: str) -> None:
    """Raises InvalidRequest unless it can name an application."""
    if not _has_length(context, CONTEXT_BYTES_MAX):
        raise InvalidRequest("invalid-context", _bounds("a context", CONTEXT_BYTES_MAX))


def _entries(container: Json) -> Iterable[tuple[str | int, Json]]:
    return container.items() if type(container) is dict else enumerate(container)


def _pointer(prefix: str, trail: tuple[str | int, ...]) -> str:
    # The first step is that of the outermost pair.
    return "".join((prefix, *(f"/{escaped(str(step))}" for step in trail[1:])))


def _check_length(text: str, most: int, pointer: str, what: str) -> None:
    if not _has_length(text, most):
        raise InvalidValue(pointer, _bounds(what, most))


def _has_length(text: str, most: int) -> bool:
    return 0 < len(text) <= most and (text.isascii() or len(text.encode()) <= most)


def _bounds(what: str, most: int) -> str:
    return f"{what} has 1 to {most} bytes in UTF-8"
