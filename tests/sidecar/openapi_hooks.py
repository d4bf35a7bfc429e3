"""What schemathesis has to be told to make good requests; loaded by its command line."""

import string
from typing import Any

import schemathesis
from hypothesis import strategies as st

TAGS = st.text(string.ascii_letters + string.digits + "-", max_size=20).map('"{}"'.format)

# From the pattern alone it draws values for its coverage that the pattern does not allow.
schemathesis.openapi.format(
    "entity-tags", st.just("*") | st.lists(TAGS, min_size=1, max_size=3).map(", ".join)
)


@schemathesis.hook
def filter_query(_context: schemathesis.HookContext, query: Any) -> bool:  # noqa: ANN401 a mapping, or what is meant to be wrong in place of one
    """Not what is short enough in characters and too long in bytes: a schema counts characters."""
    context = query.get("context") if isinstance(query, dict) else None
    if not isinstance(context, str):
        return True
    return not len(context) <= 128 < len(context.encode("utf-8", "surrogatepass"))
