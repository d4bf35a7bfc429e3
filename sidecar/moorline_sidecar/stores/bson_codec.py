"""What attributes look like in BSON: native values that a person reads and queries in the shell.

JSON has kinds that BSON lacks and the other way round. Both directions keep every value that JSON
can hold; BSON that is not ours (a person's edit, an import) comes out as relaxed Extended JSON.

    JSON                                              BSON
    number without `.` or `e`                         64-bit integer
    other numbers                                     double
    {"$binary": {"base64": "…", "subType": "00"}}     binary of subtype 0; exactly so, and canonical
    name with `%`, `.`, `$` or NUL, at any depth      the same, percent-encoded
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from bson import json_util
from bson.binary import Binary
from bson.int64 import Int64

from moorline_sidecar.domain.session import Json

_UNSAFE: Final = re.compile(r"[%.$\0]")
_ESCAPED: Final = re.compile("%(?:25|2E|24|00)")
_PLAIN_KINDS: Final = frozenset({str, bool, type(None)})


def encode_key(name: str) -> str:
    """`name` as a field name: no operator, no path, no part of a DBRef, no end of a C string."""
    if _UNSAFE.search(name) is None:
        return name
    return _UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", name)


def decode_key(field: str) -> str:
    """The name that is stored as `field`; what is no escape of ours stands for itself."""
    if "%" not in field:
        return field
    return _ESCAPED.sub(lambda found: chr(int(found[0][1:], 16)), field)


def encode(value: Json) -> Any:  # noqa: ANN401 whatever BSON holds
    """A JSON value as what the driver writes as the BSON of the table above."""
    kind = type(value)
    if kind in _PLAIN_KINDS or kind is float:
        return value
    if kind is int:
        return Int64(value)
    if kind is list:
        return [encode(item) for item in value]
    content = _binary_content(value)
    return Binary(content) if content is not None else encode_object(value)


def encode_object(value: Mapping[str, Json]) -> dict[str, Any]:
    return {encode_key(name): encode(item) for name, item in value.items()}


def decode(value: Any) -> Json:  # noqa: ANN401 whatever BSON holds
    """What the driver read, as JSON."""
    kind = type(value)
    if kind in _PLAIN_KINDS or (kind is float and math.isfinite(value)):
        return value
    if kind is int or kind is Int64:
        return int(value)
    if kind is dict:
        return _decode_object(value)
    if kind is list:
        return [item if type(item) in _PLAIN_KINDS else decode(item) for item in value]
    return _binary(value) if kind is bytes else _foreign(value)


def decode_attributes(document: object) -> dict[str, Json]:
    """The attributes of a context; what is no object has none.

    One that cannot be read shows why, and leaves the others as they are.
    """
    if type(document) is not dict:
        return {}
    attributes: dict[str, Json] = {}
    for field, value in _ours_last(document):
        try:
            attributes[decode_key(field)] = decode(value)
        except Exception as error:  # noqa: BLE001 a person may have stored anything
            attributes[decode_key(field)] = {"$unreadable": f"{type(error).__name__}: {error}"}
    return attributes


def _decode_object(document: dict[str, Any]) -> dict[str, Json]:
    decoded: dict[str, Json] = {}
    # Most of what is loaded passes here, value by value: calls are what that costs.
    for field, value in document.items():
        kind = type(value)
        if kind is Int64:
            value = int(value)  # noqa: PLW2901 the same, as JSON has it
        elif kind not in _PLAIN_KINDS:
            value = decode(value)  # noqa: PLW2901 the same
        decoded[decode_key(field) if "%" in field else field] = value
    if len(decoded) < len(document):
        return {decode_key(field): decode(value) for field, value in _ours_last(document)}
    return decoded


def _ours_last(document: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    """The fields, such that where two decode to the same name, the one that we wrote counts."""
    if not any("%" in field for field in document):
        return document.items()
    return sorted(document.items(), key=lambda item: encode_key(decode_key(item[0])) == item[0])


def _binary_content(value: Mapping[str, Json]) -> bytes | None:
    """The bytes of what is exactly `{"$binary": {"base64": "<canonical>", "subType": "00"}}`."""
    if len(value) != 1 or "$binary" not in value:
        return None
    inner = value["$binary"]
    if type(inner) is not dict or len(inner) != 2 or inner.get("subType") != "00":  # noqa: PLR2004
        return None
    text = inner.get("base64")
    if type(text) is not str:
        return None
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return content if base64.b64encode(content) == text.encode() else None


def _binary(content: bytes) -> Json:
    return {"$binary": {"base64": base64.b64encode(content).decode(), "subType": "00"}}


def _foreign(value: Any) -> Json:  # noqa: ANN401 whatever BSON holds
    return json.loads(json_util.dumps(value, json_options=json_util.RELAXED_JSON_OPTIONS))
