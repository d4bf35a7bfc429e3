"""The configuration file, JSON or YAML, as plain values."""

from __future__ import annotations

import json
import re
from typing import Final, NoReturn

# YAML 1.2, 10.3.2, without other bases, infinities and NaN: the tag's pattern, and how it begins.
_CORE_SCHEMA: Final = {
    "null": (r"(~|null|Null|NULL|)\Z", ["~", "n", "N", ""]),
    "bool": (r"(true|True|TRUE|false|False|FALSE)\Z", "tTfF"),
    "int": (r"[-+]?(0|[1-9][0-9]*)\Z", "-+0123456789"),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?\Z",
        "-+.0123456789",
    ),
}


def parse_document(text: str) -> object:
    """The values in `text`; nothing written at all is an empty mapping.

    YAML is read by the core schema of YAML 1.2, in which `Off` and `no` are strings.

    Raises:
        ValueError: it is neither, or names a key twice; the text says where.
    """
    try:
        return _parse(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _parse(text: str) -> object:
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text, object_pairs_hook=_mapping, parse_constant=_refuse)
        except json.JSONDecodeError:
            pass  # a flow mapping of YAML starts the same way
    document = _parse_yaml(text)
    return {} if document is None else document


def _mapping(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the key {name!r} is given twice")
    return dict(pairs)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number in JSON")


def _parse_yaml(text: str) -> object:
    import yaml  # noqa: PLC0415 - takes 20 ms of the start, and the operator writes JSON

    class Loader(yaml.SafeLoader):
        """Strict where `yaml.safe_load` guesses: keys are strings, given once."""

        yaml_implicit_resolvers = {}  # noqa: RUF012 - so PyYAML wants it

        def construct_mapping(
            self,
            node: yaml.MappingNode,
            deep: bool = False,  # noqa: FBT001, FBT002 - PyYAML's signature
        ) -> dict[object, object]:
            mapping: dict[object, object] = {}
            for key_node, value_node in node.value:
                key = self.construct_object(key_node, deep=True)
                is_new = isinstance(key, str) and key not in mapping
                if not is_new:
                    reason = "given twice" if isinstance(key, str) else "no string"
                    message = f"the key {key!r} is {reason}"
                    raise yaml.constructor.ConstructorError(
                        None, None, message, key_node.start_mark
                    )
                mapping[key] = self.construct_object(value_node, deep=deep)
            return mapping

    for tag, (pattern, first) in _CORE_SCHEMA.items():
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))
    try:
        return yaml.load(text, Loader)  # noqa: S506 - it is a SafeLoader
    except yaml.YAMLError as error:
        raise ValueError(f"neither JSON nor proper YAML: {error}") from error
