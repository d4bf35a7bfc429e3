"""What the API server holds a spec to in CEL, each with the sentence that tells what to write.

Of single values the schema tells the same a second time, as patterns for editors: about a wrong
value, a pattern has nothing to say except itself.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import inspect

from moorline_api.durations import duration_ns
from moorline_api.messages import expected
from moorline_api.model import ClusterIdentity
from moorline_api.quantities import size_bytes
from moorline_api.rules import RULES, Rule
from moorline_api.shapes import Shape, shape_of
from moorline_api.transitions import TRANSITIONS, Transition

# One item of `x-kubernetes-validations`.
Assertion: TypeAlias = dict[str, Any]

# What `parse` refuses beyond the pattern: more than 64 bits. Of a duration that is an error in
# CEL, which tells the same sentence; a quantity is cut down to 2^63 - 1.
_PARSED: Final[dict[Callable[[str], object], str]] = {
    duration_ns: "duration(self) >= duration('0s')",
    size_bytes: "quantity(self).isLessThan(quantity('8Ei'))",
}


def assertions_on(path: str, shape: Shape) -> list[Assertion]:
    """The assertions of the node at `path` of a spec: on its value, then between its fields."""
    rules: tuple[Rule | Transition, ...] = (*RULES, *TRANSITIONS)
    return [
        *_on_the_value(shape),
        *(
            {
                "rule": rule.cel,
                "message": rule.message,
                "reason": rule.reason,
                "fieldPath": rule.path.removeprefix(rule.scope),
            }
            for rule in rules
            if rule.scope == path
        ),
    ]


def assertion_on_the_name() -> Assertion:
    """What a SessionCluster may be called, as an assertion of the whole object."""
    (field,) = (each for each in msgspec.structs.fields(ClusterIdentity) if each.name == "name")
    shape = shape_of(inspect.type_info(field.type))
    assert isinstance(shape.node, inspect.StrType)  # noqa: S101 - a name is a text
    name, most = "self.metadata.name", shape.node.max_length
    return {
        "rule": f"size({name}) <= {most} && {_matches(shape.node, name)}",
        "message": f"write {expected(shape)}, at most {most} characters",
        "fieldPath": ".metadata.name",
    }


def _on_the_value(shape: Shape) -> Iterator[Assertion]:
    match shape.node:
        case inspect.StrType(pattern=str()) as text:
            cel = _of_text(text, shape)
        case inspect.UnionType(types=(inspect.IntType() as number, inspect.StrType() as text)):
            cel = f"type(self) == int ? {_of_number(number)} : {_of_text(text, shape)}"
        case _:
            return
    yield {"rule": cel, "message": f"write {expected(shape)}"}


def _of_text(text: inspect.StrType, shape: Shape) -> str:
    parsed = [cel for parse, cel in _PARSED.items() if parse is shape.parse]
    return " && ".join([_matches(text, "self"), *parsed])


def _of_number(number: inspect.IntType) -> str:
    return f"self >= {number.ge} && self <= {number.le}"


def _matches(text: inspect.StrType, subject: str) -> str:
    # Texts of JSON are texts of CEL.
    return f"{subject}.matches({json.dumps(text.pattern, ensure_ascii=False)})"
