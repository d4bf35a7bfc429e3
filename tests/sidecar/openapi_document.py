"""`docs/openapi.yaml`, read for tests."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "openapi.yaml"
METHODS: Final = {"get", "head", "post", "put", "patch", "delete"}


@functools.cache
def document() -> dict[str, Any]:
    """The whole document; not to be changed."""
    read: dict[str, Any] = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
    return read


def operations() -> list[tuple[str, Mapping[str, Any]]]:
    """Every operation with its id."""
    return [
        (item[method]["operationId"], item[method])
        for item in document()["paths"].values()
        for method in sorted(METHODS & item.keys())
    ]


def resolved(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a `$ref` within the document points at; any other node is itself."""
    found: Any = node
    while "$ref" in found:
        target = document()
        for step in found["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        found = target
    narrowed: Mapping[str, Any] = found
    return narrowed
