"""What schemathesis has to be told to make good requests; loaded by its command line."""

import string

import schemathesis
from hypothesis import strategies as st

TAGS = st.text(string.ascii_letters + string.digits + "-", max_size=20).map('"{}"'.format)

# From the pattern alone it draws values for its coverage that the pattern does not allow.
schemathesis.openapi.format(
    "entity-tags", st.just("*") | st.lists(TAGS, min_size=1, max_size=3).map(", ".join)
)
