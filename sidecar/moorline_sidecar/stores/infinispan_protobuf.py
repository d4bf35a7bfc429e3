"""Protocol Buffers, as far as Infinispan asks for them: what is wrapped, and what is read of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

Value: TypeAlias = int | bytes
Scalar: TypeAlias = str | int | bytes | None

_NUMBER: Final = 0
_FIXED_64: Final = 1
_BYTES: Final = 2
_FIXED_32: Final = 5
_LENGTHS: Final = {_FIXED_64: 8, _FIXED_32: 4}

_INT_64_BITS: Final = 64

_WRAPPED_INT_64: Final = 3
_WRAPPED_STRING: Final = 9
_WRAPPED_TYPE: Final = 16
_WRAPPED_MESSAGE: Final = 17
_WRAPPED: Final = frozenset({_WRAPPED_INT_64, 4, 5, 8, 10, 11, 12, _WRAPPED_MESSAGE})
"""What holds a value: numbers of all kinds, bytes, a message."""

_QUERY_TEXT: Final = 1
_QUERY_LIMIT: Final = 4
_QUERY_PARAMETER: Final = 5
_RESPONSE_WIDTH: Final = 2
_RESPONSE_VALUE: Final = 3


def varint(number: int) -> bytes:
    """A number from 0 on, in seven bits a byte."""
    found = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - what fits into seven bits
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def field(number: int, value: str | bytes | int | None) -> bytes:
    """The field of a message; nothing where there is no value."""
    if value is None:
        return b""
    if isinstance(value, int):
        return varint(number << 3) + varint(value & (1 << _INT_64_BITS) - 1)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | _BYTES) + varint(len(data)) + data


def fields_of(message: bytes) -> Iterator[tuple[int, Value]]:
    """Number and value of each field.

    Raises:
        ValueError: it is no message.
    """
    at = 0
    while at < len(message):
        tag, at = _number(message, at)
        kind = tag & 7
        if kind == _NUMBER:
            value: Value
            value, at = _number(message, at)
            yield tag >> 3, value - (1 << _INT_64_BITS) if value >> 63 else value
            continue
        length = _LENGTHS.get(kind)
        if kind == _BYTES:
            length, at = _number(message, at)
        if length is None or at + length > len(message):
            raise ValueError("no message")
        yield tag >> 3, message[at : at + length]
        at += length


def wrapped_text(text: str) -> bytes:
    """As a key."""
    return field(_WRAPPED_STRING, text)


def wrapped_number(number: int) -> bytes:
    return field(_WRAPPED_INT_64, number)


def wrapped_message(type_: str, message: bytes) -> bytes:
    return field(_WRAPPED_TYPE, type_) + field(_WRAPPED_MESSAGE, message)


def unwrapped(wrapped: bytes) -> Scalar:
    """A message as its bytes, a text, or a number; None where nothing is wrapped."""
    for number, value in fields_of(wrapped):
        if number == _WRAPPED_STRING and isinstance(value, bytes):
            return value.decode(errors="replace")
        if number in _WRAPPED:
            return value
    return None


def query(text: str, limit: int, parameters: Mapping[str, str | int]) -> bytes:
    """A request for what `text` asks for, with what stands for `:name` in it."""
    found = field(_QUERY_TEXT, text) + field(_QUERY_LIMIT, limit)
    for name, value in parameters.items():
        wrapped = wrapped_text(value) if isinstance(value, str) else wrapped_number(value)
        found += field(_QUERY_PARAMETER, field(1, name) + field(2, wrapped))
    return found


def rows_of(response: bytes) -> list[list[Scalar]]:
    """What a query found, in rows of what it selects."""
    width = 0
    values: list[Scalar] = []
    for number, value in fields_of(response):
        if number == _RESPONSE_WIDTH and isinstance(value, int):
            width = value
        elif number == _RESPONSE_VALUE and isinstance(value, bytes):
            values.append(unwrapped(value))
    return [values[at : at + width] for at in range(0, len(values), width)] if width else []


def _number(message: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        if at >= len(message) or shift > _INT_64_BITS:
            raise ValueError("no number")
        byte = message[at]
        number |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follows
            return number, at
        shift += 7
