"""Reads a spec that no API server has checked, and names every mistake in one go.

`msgspec.convert` stops at the first mistake. So the data is walked beside the same model first;
what is wrong is left out of the copy that is converted, so that the rules between fields can be
checked on what is right.
"""

from collections.abc import Mapping
from functools import cache
from typing import Final, TypeVar

import msgspec
from msgspec import inspect

from moorline_api.base import Model
from moorline_api.errors import InvalidSpec, Violation
from moorline_api.model import SessionClusterSpec
from moorline_api.rules import RULES
from moorline_api.shapes import Shape, shape_of
from moorline_api.walk import WRONG, Walk

_M = TypeVar("_M", bound=Model)

# What a spec without a backend gets where it needs none: the embedded server of `serve --dev`
# speaks MongoDB's protocol.
_DEFAULT_BACKEND: Final = {"type": "MongoDB", "mongodb": {}}


def decode_spec(
    data: object, *, require_backend: bool = True, allow_unknown: bool = False
) -> SessionClusterSpec:
    """A spec from the plain data of JSON or YAML, with a default for all that it leaves out.

    As in the API server, null is the same as nothing. Where no backend is required, a spec
    without one gets MongoDB with every default.

    Unknown keys are allowed to who reads what the API server has checked: there they are no
    typing mistakes, but fields of a newer type, which an older program has to live with.

    Raises:
        InvalidSpec: with every mistake: unknown keys, wrong values, broken rules.
    """
    fields = {} if data is None else data
    if isinstance(fields, Mapping) and fields.get("backend") is None and not require_backend:
        fields = {**fields, "backend": _DEFAULT_BACKEND}
    walk = Walk(allows_unknown=allow_unknown)
    kept = walk.node(fields, _shape(SessionClusterSpec), "spec")
    if kept is WRONG:
        raise InvalidSpec((*walk.found, *_broken_without_backend(fields)))
    spec = msgspec.convert(kept, SessionClusterSpec)
    if found := (*walk.found, *_broken_rules(spec, walk.left_out)):
        raise InvalidSpec(found)
    return spec


def decode(data: object, model: type[_M], *, path: str) -> _M:
    """Any one part of the model from plain data; `path` is where the data was found.

    Raises:
        InvalidSpec: as `decode_spec`, except that no rules between fields are checked.
    """
    walk = Walk()
    kept = walk.node(data, _shape(model), path)
    if walk.found:
        raise InvalidSpec(tuple(walk.found))
    return msgspec.convert(kept, model)


def _broken_without_backend(fields: object) -> list[Violation]:
    """The rules that are broken beside a backend that cannot be used."""
    if not isinstance(fields, Mapping):
        return []
    walk = Walk()
    rest = {**fields, "backend": _DEFAULT_BACKEND}
    kept = walk.node(rest, _shape(SessionClusterSpec), "spec")
    spec = msgspec.convert(kept, SessionClusterSpec)
    return _broken_rules(spec, {*walk.left_out, "spec.backend"})


def _broken_rules(spec: SessionClusterSpec, left_out: set[str]) -> list[Violation]:
    """What the spec breaks, but for rules about values that were left out of it."""
    return [
        Violation(rule.path, rule.message)
        for rule in RULES
        if not any(_is_at_or_below(read, out) for read in rule.reads for out in left_out)
        and not rule.holds(spec)
    ]


def _is_at_or_below(path: str, ancestor: str) -> bool:
    return path == ancestor or path.startswith(f"{ancestor}.")


@cache
def _shape(model: type[Model]) -> Shape:
    return shape_of(inspect.type_info(model))
