"""A check makes what a store needs, and its result is a line of JSON."""

import json

from moorline_sidecar.checking import check
from moorline_sidecar.stores.base import SessionStore


async def test_a_check_says_in_a_line_that_the_store_is_ready(store: SessionStore) -> None:
    for _ in range(2):
        result = await check(store)

        told = json.loads(result.line())
        assert (told["ok"], told["reason"]) == (True, "Ready"), told
        assert told["server"]
        assert all(isinstance(name, str) for name in told["indexes"])
