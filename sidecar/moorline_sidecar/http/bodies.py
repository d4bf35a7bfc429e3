"""JSON bodies: decoded, and refused with a sentence where they are not what the route takes."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

from moorline_sidecar.domain.attributes import (
    check_attributes,
    check_name,
    check_principal,
    check_value,
    escaped,
)
from moorline_sidecar.domain.changes import Patch
from moorline_sidecar.errors import InvalidRequest, InvalidValue

SECONDS_MAX: Final = 10 * 365 * 86_400
"""Ten years: whoever means never says 0."""

PLACE_LEVELS: Final = 2
"""A member of the body, and an attribute in it: each level costs decoding all of it once more."""

T = TypeVar("T")


class CreateBody(Struct, forbid_unknown_fields=True, rename="camel"):
    """Of POST and PUT."""

    attributes: dict[str, Any] | UnsetType = UNSET
    max_idle_seconds: int | float | UnsetType = UNSET
    principal: str | UnsetType | None = UNSET


class PatchBody(Struct, forbid_unknown_fields=True, rename="camel"):
    """Of PATCH and complete."""

    set: dict[str, Any] = {}
    unset: list[str] = []
    increment: dict[str, int | float] = {}
    max_idle_seconds: int | float | UnsetType = UNSET
    principal: str | UnsetType | None = UNSET


class RenewBody(PatchBody, forbid_unknown_fields=True, rename="camel"):
    """Of renew."""

    id: str | None = None


_MEANT: Final = (
    ("Input data was truncated", "The JSON ends too early, or holds a lone surrogate"),
    ("Number out of range", "A number is beyond the range of a double"),
    ("`int | float`", "a number"),
    ("`str | null`", "a string or null"),
    ("`str`", "a string"),
    ("`int`", "an integer"),
    ("`float`", "a number"),
    ("`bool`", "a boolean"),
    ("`array`", "an array"),
    ("`object`", "an object"),
    ("`null`", "null"),
)
"""What msgspec says, and what it means to somebody who sends JSON."""

_create = msgspec.json.Decoder(CreateBody)
_patch = msgspec.json.Decoder(PatchBody)
_renew = msgspec.json.Decoder(RenewBody)
_map = msgspec.json.Decoder(dict[str, Any])
_UNDECODED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_any = msgspec.json.Decoder()


def creation(body: bytes, context: str) -> Patch:
    """What a create sets; an empty body sets nothing."""
    given = _decoded(_create, body) if body else CreateBody()
    attributes = {} if given.attributes is UNSET else given.attributes
    check_attributes(attributes, "/attributes")
    return _with_session(Patch(context=context, set=attributes), given)


def replacement(body: bytes, context: str) -> Patch:
    """What PUT replaces: absent members stay."""
    given = _decoded(_create, body) if body else CreateBody()
    if given.attributes is UNSET:
        return _with_session(Patch(context=context), given)
    check_attributes(given.attributes, "/attributes")
    return _with_session(Patch(context=context, replace=given.attributes), given)


def patch(body: bytes, context: str) -> Patch:
    """What PATCH changes."""
    return _patched(_decoded(_patch, body), context)


def renewal(body: bytes, context: str) -> tuple[Patch, str | None]:
    """What a renew changes, and the id that the caller chose."""
    given = _decoded(_renew, body) if body else RenewBody()
    return _patched(given, context), given.id


def attribute_map(body: bytes, context: str) -> Patch:
    """All attributes of the context."""
    attributes = _decoded(_map, body)
    check_attributes(attributes, "")
    return Patch(context=context, replace=attributes)


def attribute(body: bytes, context: str, name: str) -> Patch:
    """One attribute."""
    value = _decoded(_any, body)
    check_name(name, "")
    check_value(value, "")
    return Patch(context=context, set={name: value})


def check_attribute_name(name: str) -> None:
    """Refuse a name in a path that no attribute can have."""
    check_name(name, "")


def _patched(given: PatchBody, context: str) -> Patch:
    check_attributes(given.set, "/set")
    check_attributes(given.increment, "/increment")
    for position, name in enumerate(given.unset):
        check_name(name, f"/unset/{position}")
        if name in given.set or name in given.increment:
            raise InvalidValue(f"/unset/{position}", "the name stands in another member too")
    for name in given.increment:
        if name in given.set:
            raise InvalidValue(f"/increment/{escaped(name)}", "the name stands in `set` too")
    changes = Patch(
        context=context, set=given.set, unset=tuple(given.unset), increment=given.increment
    )
    return _with_session(changes, given)


def _with_session(changes: Patch, given: CreateBody | PatchBody) -> Patch:
    """The patch with what is about the session as a whole."""
    if given.max_idle_seconds is UNSET and given.principal is UNSET:
        return changes
    if isinstance(given.principal, str):
        check_principal(given.principal, "/principal")
    max_idle_ms = UNSET if given.max_idle_seconds is UNSET else _ms(given.max_idle_seconds)
    return msgspec.structs.replace(changes, max_idle_ms=max_idle_ms, principal=given.principal)


def _ms(seconds: float) -> int:
    if not 0 <= seconds <= SECONDS_MAX:
        raise InvalidValue(
            "/maxIdleSeconds", f"a number from 0 (never) to {SECONDS_MAX} (ten years) is wanted"
        )
    # As it is written, so that what a session shows (2.007) is what it takes; up, as 0 means never.
    return math.ceil(Decimal(repr(seconds)) * 1000)


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    if not body:
        raise InvalidRequest("malformed-json", "The body is empty; this route takes JSON.")
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        _refuse_syntax(body)
        raise InvalidRequest("malformed-request", _sentence(error)) from None
    except RecursionError:
        raise InvalidValue("", "values are nested at most 64 levels deep") from None


def _refuse_syntax(body: bytes) -> None:
    """Tell JSON that is none from JSON of the wrong form: msgspec has one error for both."""
    try:
        _any.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if "Integer value out of range" in str(error):
            raise InvalidValue(_place(body), "an integer has at most 64 bits") from None
        raise InvalidRequest("malformed-json", _sentence(error)) from None
    except RecursionError:
        raise InvalidValue("", "values are nested at most 64 levels deep") from None


def _place(body: bytes | msgspec.Raw, levels: int = PLACE_LEVELS) -> str:
    """The pointer to the member that msgspec does not decode, so many levels down at most."""
    try:
        members = _members.decode(body) if levels else {}
    except _UNDECODED:
        return ""
    for name, value in members.items():
        try:
            _any.decode(value)
        except _UNDECODED:
            return f"/{escaped(name)}{_place(value, levels - 1)}"
    return ""


def _sentence(error: Exception) -> str:
    """What is wrong, in words of JSON instead of Python."""
    if isinstance(error, UnicodeDecodeError):
        return "The body is not UTF-8."
    text = str(error)
    for said, meant in _MEANT:
        text = text.replace(said, meant)
    return f"{text}."
