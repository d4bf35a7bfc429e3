"""What schemathesis has to be told to make good requests; loaded by its command line."""

import string
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import schemathesis
from hypothesis import strategies as st
from schemathesis import HookContext

# ruff: noqa: ANN401 - what is generated is any JSON, or none where it is meant to be wrong

TAGS = st.text(string.ascii_letters + string.digits + "-", max_size=20).map('"{}"'.format)

# From the pattern alone it draws values for its coverage that the pattern does not allow.
schemathesis.openapi.format(
    "entity-tags", st.just("*") | st.lists(TAGS, min_size=1, max_size=3).map(", ".join)
)


@schemathesis.hook
def filter_query(_context: HookContext, query: Any) -> bool:
    """Not what is short enough in characters and too long in bytes: a schema counts characters."""
    context = query.get("context") if isinstance(query, dict) else None
    if not isinstance(context, str):
        return True
    return not len(context) <= 128 < len(context.encode("utf-8", "surrogatepass"))


@schemathesis.hook
def filter_body(_context: HookContext, body: Any) -> bool:
    return not any(map(_is_no_index, _texts(body)))


@schemathesis.hook
def filter_path_parameters(_context: HookContext, parameters: Any) -> bool:
    # Some come as they go into the path.
    return not any(_is_no_index(unquote(text)) for text in _texts(parameters))


def _is_no_index(name: str) -> bool:
    """SecantusDB fails on a field with such a name: it takes `²` for an index of an array."""
    return name.isdigit() and not name.isdecimal()


def _texts(value: Any) -> Iterator[str]:
    """Every text in it, names of members too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield from _texts(name)
            yield from _texts(member)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
