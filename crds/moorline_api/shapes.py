"""The nodes of the model as a decoder sees them: what a value has to be, and what to call it."""

import math
import re
from collections.abc import Callable, Mapping, Sequence, Sized
from enum import Enum
from functools import cache
from typing import Any, TypeGuard

from msgspec import Struct, inspect


class Shape(Struct, frozen=True, kw_only=True):
    """A node without its wrappers, and what its `Meta` tells.

    `secret`: no message may show the value. `parse` raises a `MoorlineApiError` where a text
    that fits the pattern still means nothing.
    """

    node: inspect.Type
    title: str = ""
    examples: Sequence[object] = ()
    secret: bool = False
    parse: Callable[[str], object] | None = None


class Member(Struct, frozen=True):
    """A field of a model: what its value has to be, and whether it has to be there."""

    shape: Shape
    required: bool


def shape_of(node: inspect.Type) -> Shape:
    """The shape of a field: `X | None` counts as X, for null is the same as nothing."""
    notes: dict[str, Any] = {}
    while True:
        match node:
            case inspect.Metadata(type=inner, extra_json_schema=schema, extra=extra):
                notes = {**(schema or {}), **(extra or {}), **notes}
                node = inner
            case inspect.UnionType(types=(inner, inspect.NoneType())):
                node = inner
            case _:
                kept = {key: notes[key] for key in Shape.__struct_fields__ if key in notes}
                return Shape(node=node, **kept)


@cache
def members_of(model: type[Struct]) -> Mapping[str, Member]:
    """The fields of a model, by their names in JSON; worked out once."""
    node = inspect.type_info(model)
    assert isinstance(node, inspect.StructType)  # noqa: S101 - as the model of a mapping is
    return {
        field.encode_name: Member(shape_of(field.type), field.required) for field in node.fields
    }


def is_mapping_for(value: object, node: inspect.DictType) -> TypeGuard[Mapping[object, object]]:
    """Whether it is a mapping with as many entries as the node takes, whatever they are."""
    return isinstance(value, Mapping) and _has_length_for(value, node)


def is_list_for(value: object, node: inspect.VarTupleType) -> TypeGuard[Sequence[object]]:
    """Whether it is a list with as many items as the node takes, whatever they are."""
    return isinstance(value, list | tuple) and _has_length_for(value, node)


def fits(value: object, node: inspect.Type) -> bool:
    """Whether a single value is what the node wants, as `msgspec.convert` would find.

    One difference: a pattern has to match to the very end, where Python's `$` lets a line feed
    pass and RE2 does not.
    """
    match node:
        case inspect.UnionType(types=types):
            found = any(fits(value, each) for each in types)
        case inspect.EnumType(cls=choices):
            found = isinstance(value, str) and value in _values_of(choices)
        case inspect.StrType():
            found = isinstance(value, str) and _is_text_for(value, node)
        case inspect.BoolType():
            found = isinstance(value, bool)
        case inspect.IntType():
            found = isinstance(value, int) and _is_number_for(value, node)
        case inspect.FloatType():
            found = isinstance(value, int | float) and _is_number_for(value, node)
        case _:
            found = False
    return found


@cache
def _values_of(choices: type[Enum]) -> frozenset[object]:
    return frozenset(choice.value for choice in choices)


def _is_text_for(value: str, node: inspect.StrType) -> bool:
    # The length first: it bounds what the pattern costs.
    return _has_length_for(value, node) and (
        node.pattern is None or re.fullmatch(node.pattern, value) is not None
    )


def _has_length_for(
    value: Sized, node: inspect.StrType | inspect.DictType | inspect.VarTupleType
) -> bool:
    least = node.min_length or 0
    return least <= len(value) and (node.max_length is None or len(value) <= node.max_length)


def _is_number_for(value: float, node: inspect.IntType | inspect.FloatType) -> bool:
    # True and False are numbers to Python only. What is no number is in no range.
    least = -math.inf if node.ge is None else node.ge
    most = math.inf if node.le is None else node.le
    return not isinstance(value, bool) and least <= value <= most
