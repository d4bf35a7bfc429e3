import json
from typing import Any

import bson
import pytest
from bson import Binary, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.code import Code
from bson.datetime_ms import DatetimeMS
from bson.dbref import DBRef
from hypothesis import given
from hypothesis import strategies as st
from moorline_sidecar.domain.session import Json
from moorline_sidecar.stores.bson_codec import (
    decode,
    decode_attributes,
    decode_key,
    encode,
    encode_key,
)
from moorline_sidecar.stores.mongodb import CODEC

from tests.contract.test_values import ODD_NAMES, exact, values

NAMES = {
    "plain": ("user", "user"),
    "empty": ("", ""),
    "a path": ("a.b", "a%2Eb"),
    "an operator": ("$set", "%24set"),
    "NUL": ("a\0b", "a%00b"),
    "percent": ("100%", "100%25"),
    "what looks escaped": ("%2E", "%252E"),
    "anything else": ("é /~😀", "é /~😀"),
}


@pytest.mark.parametrize(("name", "field"), NAMES.values(), ids=NAMES.keys())
def test_a_name_is_no_operator_no_path_and_no_end_of_a_string(name: str, field: str) -> None:
    assert encode_key(name) == field
    assert decode_key(field) == name


@given(st.one_of(st.sampled_from(ODD_NAMES), st.text()))
def test_a_name_comes_back(name: str) -> None:
    field = encode_key(name)

    assert decode_key(field) == name
    assert not set(field) & set(".$\0")


@given(st.text(alphabet="%.$\x00024E5e"))
def test_any_field_has_a_name(field: str) -> None:
    assert isinstance(decode_key(field), str)


KINDS: dict[str, tuple[Json, type]] = {
    "a small integer": (1, Int64),
    "a large integer": (2**63 - 1, Int64),
    "a whole double": (1.0, float),
    "a boolean": (True, bool),
    "null": (None, type(None)),
    "text": ("x", str),
    "an array": ([1], list),
    "an object": ({"a": 1}, dict),
    "binary": ({"$binary": {"base64": "AAE=", "subType": "00"}}, Binary),
    "empty binary": ({"$binary": {"base64": "", "subType": "00"}}, Binary),
    "binary with a line break": ({"$binary": {"base64": "AAE=\n", "subType": "00"}}, dict),
    "binary without padding": ({"$binary": {"base64": "AAE", "subType": "00"}}, dict),
    "binary with spare bits": ({"$binary": {"base64": "AAF=", "subType": "00"}}, dict),
    "binary in another alphabet": ({"$binary": {"base64": "é", "subType": "00"}}, dict),
    "binary of another subtype": ({"$binary": {"base64": "AAE=", "subType": "05"}}, dict),
    "binary of a short subtype": ({"$binary": {"base64": "AAE=", "subType": "0"}}, dict),
    "binary of a numeric subtype": ({"$binary": {"base64": "AAE=", "subType": 0}}, dict),
    "binary without a subtype": ({"$binary": {"base64": "AAE="}}, dict),
    "binary of a number": ({"$binary": {"base64": 1, "subType": "00"}}, dict),
    "binary and more": ({"$binary": {"base64": "", "subType": "00"}, "a": 1}, dict),
    "binary with more": ({"$binary": {"base64": "", "subType": "00", "a": 1}}, dict),
    "binary of a text": ({"$binary": "AAE="}, dict),
    "what looks like a date": ({"$date": "2026-11-22T00:00:00Z"}, dict),
    "what looks like a reference": ({"$ref": "a", "$id": 1}, dict),
}


@pytest.mark.parametrize(("value", "kind"), KINDS.values(), ids=KINDS.keys())
def test_a_value_is_kept_as_its_kind_and_comes_back(value: Json, kind: type) -> None:
    assert type(encode(value)) is kind
    assert exact(_through_bson(value)) == exact(value)


@given(values)
def test_every_value_comes_back(value: Json) -> None:
    assert exact(_through_bson(value)) == exact(value)


FOREIGN: dict[str, tuple[Any, Json]] = {
    "an object id": (ObjectId("0" * 24), {"$oid": "0" * 24}),
    "a date": (DatetimeMS(0), {"$date": "1970-01-01T00:00:00Z"}),
    "a date beyond the calendar": (
        DatetimeMS(2**62),
        {"$date": {"$numberLong": "4611686018427387904"}},
    ),
    "a decimal": (Decimal128("1.50"), {"$numberDecimal": "1.50"}),
    "not a number": (float("nan"), {"$numberDouble": "NaN"}),
    "infinity": (float("-inf"), {"$numberDouble": "-Infinity"}),
    "a regular expression": (
        Regex("a(", "i"),
        {"$regularExpression": {"pattern": "a(", "options": "i"}},
    ),
    "a timestamp": (Timestamp(1, 2), {"$timestamp": {"t": 1, "i": 2}}),
    "code": (Code("f()"), {"$code": "f()"}),
    "the lowest": (MinKey(), {"$minKey": 1}),
    "the highest": (MaxKey(), {"$maxKey": 1}),
    "binary of another subtype": (
        Binary(b"\0\1", 5),
        {"$binary": {"base64": "AAE=", "subType": "05"}},
    ),
    "a reference": (DBRef("a", 1), {"$ref": "a", "$id": 1}),
    "a 32-bit integer": (7, 7),
}


@pytest.mark.parametrize(("found", "shown"), FOREIGN.values(), ids=FOREIGN.keys())
def test_what_is_not_ours_is_shown_as_relaxed_extended_json(found: object, shown: Json) -> None:
    stored = bson.decode(bson.encode({"v": [found]}), CODEC)

    assert decode(stored["v"]) == [shown]


@pytest.mark.parametrize("field", ["100%", "%2e", "%zz", "a%", "a.b", "$x", "%2"])
def test_a_name_that_is_not_ours_stands_for_itself(field: str) -> None:
    assert decode_attributes({field: {field: 1}}) == {field: {field: 1}}


def test_of_two_fields_of_a_name_the_one_that_we_wrote_counts() -> None:
    both = {"a%2Eb": "ours", "a.b": "theirs"}

    assert decode_attributes(both) == {"a.b": "ours"}
    assert decode_attributes({"outer": both}) == {"outer": {"a.b": "ours"}}


def test_an_attribute_that_cannot_be_read_leaves_the_others_as_they_are() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]

    attributes = decode_attributes({"good": 1, "bad": deep})

    assert attributes["good"] == 1
    assert attributes["bad"].keys() == {"$unreadable"}


@pytest.mark.parametrize("found", [None, 1, "x", [1], ObjectId("0" * 24)])
def test_a_context_that_is_no_object_has_no_attributes(found: object) -> None:
    assert decode_attributes(found) == {}


def _through_bson(value: Json) -> Json:
    stored = bson.decode(bson.encode({"v": encode(value)}), CODEC)
    decoded = decode(stored["v"])
    json.dumps(decoded, allow_nan=False)
    return decoded
