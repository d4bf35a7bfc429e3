"""The model as a structural schema: what the API server checks, fills in and explains.

A spec is wished for: it has defaults, and assertions that tell what to write instead. A status
is observed: it has neither, for what is not there was not seen.

Source: Kubernetes `apiextensions.k8s.io/v1` JSONSchemaProps, which is OpenAPI v3.
"""

import json
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import NODEFAULT, Struct, inspect

from moorline_api.assertions import assertions_on
from moorline_api.base import Model
from moorline_api.choices import Choice
from moorline_api.messages import expected
from moorline_api.shapes import Shape, shape_of

Schema: TypeAlias = dict[str, Any]

_SPEC: Final = "spec"
_MAX_INT32: Final = 2**31 - 1
# A list that several may apply to is a mapping to the API server, by this key of its items.
_KEYS: Final = {"status.conditions": "type"}


def schema_of(model: type[Model], path: str, description: str) -> Schema:
    """The schema of `spec` or `status`, whichever `path` is."""
    return {"description": description, **_node(shape_of(inspect.type_info(model)), path)}


def _node(shape: Shape, path: str) -> Schema:
    schema = _value(shape)
    if _is_wished(path) and (assertions := assertions_on(path, shape)):
        schema["x-kubernetes-validations"] = assertions
    return schema | _below(shape.node, path)


def _below(node: inspect.Type, path: str) -> Schema:
    match node:
        case inspect.StructType(fields=fields):
            required = [field.encode_name for field in fields if field.required]
            properties = {
                field.encode_name: _field(field, f"{path}.{field.encode_name}") for field in fields
            }
            return {**({"required": required} if required else {}), "properties": properties}
        case inspect.DictType(value_type=item):
            return {"additionalProperties": _node(shape_of(item), f"{path}[]")}
        case inspect.VarTupleType(item_type=item):
            return {**_list_type(path), "items": _node(shape_of(item), f"{path}[]")}
        case _:
            return {}


def _field(field: inspect.Field, path: str) -> Schema:
    shape = shape_of(field.type)
    schema = _node(shape, path)
    if not _is_wished(path):
        return {"description": _said(field), **schema}
    default = _default(field)
    filled = {} if default is None else {"default": default}
    return {"description": _explained(field, shape, default), **filled, **schema}


def _value(shape: Shape) -> Schema:
    """What the schema says of the value itself, whatever it is a part of."""
    match shape.node:
        case inspect.StructType():
            found: Schema = {"type": "object"}
        case inspect.DictType() as node:
            found = {"type": "object", "maxProperties": node.max_length}
        case inspect.VarTupleType() as node:
            found = {"type": "array", "minItems": node.min_length, "maxItems": node.max_length}
        case inspect.EnumType(cls=choices):
            found = {"type": "string", "enum": [choice.value for choice in choices]}
        case inspect.StrType() as node:
            found = {"type": "string", **_text(node, shape)}
        case inspect.BoolType():
            found = {"type": "boolean"}
        case inspect.IntType() | inspect.FloatType() as node:
            found = _number(node)
        case inspect.UnionType(types=(inspect.IntType(), inspect.StrType() as node)):
            found = {"x-kubernetes-int-or-string": True, **_text(node, shape)}
        case node:
            raise NotImplementedError(node)
    return {key: value for key, value in found.items() if value is not None}


def _text(node: inspect.StrType, shape: Shape) -> Schema:
    # The API server shows the value that a pattern refuses, and a URI with its password is
    # easily pasted where the name of a Secret belongs: there, the assertion alone refuses it.
    return {
        "minLength": node.min_length,
        "maxLength": node.max_length,
        "pattern": None if shape.secret else node.pattern,
    }


def _number(node: inspect.IntType | inspect.FloatType) -> Schema:
    if isinstance(node, inspect.FloatType):
        kind, size = "number", "double"
    else:
        is_small = node.le is not None and node.le <= _MAX_INT32
        kind, size = "integer", "int32" if is_small else "int64"
    return {"type": kind, "format": size, "minimum": node.ge, "maximum": node.le}


def _list_type(path: str) -> Schema:
    if key := _KEYS.get(path):
        return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}
    return {"x-kubernetes-list-type": "atomic"}


def _default(field: inspect.Field) -> object:
    """The default in plain data; None where there is none.

    A mapping of defaults is `{}`: the API server fills it in from those below.
    """
    value = field.default
    if field.default_factory is not NODEFAULT:
        value = field.default_factory()
    if value is NODEFAULT:
        return None
    is_filled_in = isinstance(value, Struct) and value == type(value)()
    return {} if is_filled_in else msgspec.json.decode(msgspec.json.encode(value))


def _said(field: inspect.Field) -> str:
    schema = field.type.extra_json_schema if isinstance(field.type, inspect.Metadata) else None
    return str((schema or {})["description"])


def _explained(field: inspect.Field, shape: Shape, default: object) -> str:
    # `kubectl explain` shows neither patterns nor defaults by itself.
    sentences = [_said(field)]
    if not isinstance(shape.node, inspect.StructType | inspect.EnumType):
        sentences.append(f"Takes {expected(shape)}.")
    if default not in (None, {}):
        sentences.append(f"Default: {json.dumps(default)}.")
    return "\n".join([" ".join(sentences), *_risks(shape)])


def _risks(shape: Shape) -> Iterator[str]:
    if isinstance(shape.node, inspect.EnumType) and issubclass(shape.node.cls, Choice):
        yield "What each risks:"
        yield from (f"{choice.value}: {choice.risk}" for choice in shape.node.cls)


def _is_wished(path: str) -> bool:
    return path.startswith(_SPEC)
