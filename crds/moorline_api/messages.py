"""What is said about a mistake: what to write instead, and what is there where that is safe."""

import json
from collections.abc import Iterable, Mapping, Sized
from difflib import get_close_matches
from typing import Final

from msgspec import inspect

from moorline_api.shapes import Shape

# Characters of a value or a key that are shown: enough to find it in a file.
_SHOWN: Final = 40
# What a URI with user and password in it has, and few other values: never shown.
_MARKS_OF_A_URI: Final = ("://", "@")
# Python refuses to print much longer integers.
_LARGEST_SHOWN: Final = 2**63


def instead(shape: Shape, value: object) -> str:
    """The cure for a value that does not fit: `write one of Lax, Strict, None, not "lax"`."""
    most = getattr(shape.node, "max_length", None)
    if isinstance(shape.node, inspect.StrType) and isinstance(value, str) and _exceeds(value, most):
        return f"write at most {most} characters, not {len(value)}"
    # A text where a reference to a Secret is expected may be the secret itself.
    hidden = shape.secret or isinstance(shape.node, inspect.StructType)
    there = "" if hidden else _described(value)
    return f"write {expected(shape)}{there and f', not {there}'}{_quoting(shape, value)}"


def missing(shape: Shape) -> str:
    """The cure for a field that has no default and is not there."""
    return f"required: write {expected(shape)}"


def unknown(key: object, known: Iterable[str]) -> str:
    """The cure for a key that the model has not: the nearest of those it has, or all of them."""
    folded = {name.lower(): name for name in known}
    if near := get_close_matches(str(key).lower(), folded, n=1):
        return f"unknown field: did you mean {folded[near[0]]}?"
    here = f"; the fields here are {', '.join(folded.values())}" if folded else ""
    return f"unknown field: remove it{here}"


def expected(shape: Shape) -> str:
    """What a shape takes, in words."""
    if shape.title:
        return f"{shape.title}, such as {' or '.join(map(json.dumps, shape.examples))}"
    match shape.node:
        case inspect.StructType(fields=fields):
            words = f"a mapping with {', '.join(field.encode_name for field in fields)}"
        case inspect.EnumType(cls=choices):
            words = f"one of {', '.join(choice.value for choice in choices)}"
        case inspect.BoolType():
            words = "true or false, without quotes"
        case inspect.IntType(ge=least, le=most) | inspect.FloatType(ge=least, le=most):
            kind = "whole number" if isinstance(shape.node, inspect.IntType) else "number"
            words = f"a {kind} from {least} to {most}"
        case inspect.VarTupleType(min_length=least, max_length=most):
            words = f"a list of {least or 0} to {most} items"
        case inspect.DictType(max_length=most):
            words = f"a mapping of names to values, at most {most}"
        case _:
            words = "another value"
    return words


def shown_key(key: object) -> str:
    """A key as part of a path: cut short, and left out if it may hold a password."""
    text = str(key)
    if any(mark in text for mark in _MARKS_OF_A_URI):
        return "…"
    return _cut(text if text.isprintable() else json.dumps(text))


def _exceeds(value: Sized, most: int | None) -> bool:
    return most is not None and len(value) > most


def _described(value: object) -> str:
    match value:
        case Mapping():
            words = f"a mapping of {len(value)}"
        case list() | tuple():
            words = f"a list of {len(value)}"
        case str() if any(mark in value for mark in _MARKS_OF_A_URI):
            words = ""
        case int() if abs(value) > _LARGEST_SHOWN:
            words = "a huge number"
        case str() | int() | float() | None:
            words = _cut(json.dumps(value))
        case _:
            words = f"a {type(value).__name__}"
    return words


def _quoting(shape: Shape, value: object) -> str:
    if isinstance(shape.node, inspect.EnumType) and isinstance(value, bool):
        return "; in quotes, for YAML reads a bare On, Off, Yes or No as true or false"
    return ""


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
