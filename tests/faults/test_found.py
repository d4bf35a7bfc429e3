"""What `make chaos` has found, in the fewest steps that show it."""

from __future__ import annotations

import time

from moorline_sidecar.domain.changes import Patch
from moorline_sidecar.domain.ids import new_id
from moorline_sidecar.domain.merging import Asked
from moorline_sidecar.domain.policies import Policy
from moorline_sidecar.domain.session import Session
from moorline_sidecar.sessions.service import Sessions
from moorline_sidecar.stores.memory import MemoryStore

SKEW_MS = 600_000


async def test_the_first_session_of_a_worker_begins_by_the_clock_of_the_store() -> None:
    # Seed 2: sessions of the first 200 ms were created by the node's clock, and served 18 s after
    # their deadline; with a clock that is fast, live sessions would have been ended.
    def store_now() -> int:
        return time.time_ns() // 1_000_000 + SKEW_MS

    async with Sessions(MemoryStore(store_now), Policy(worker="node1")) as sessions:
        served, _ = await sessions.create(new_id(), Asked(patch=Patch(context="/")))
    assert isinstance(served.entry.record, Session)
    assert abs(served.entry.record.created - store_now()) < SKEW_MS / 2
