"""Thousands of sessions that end at once wait for their turn; none of them is left out."""

import asyncio

from moorline_api import OnShutdown
from moorline_sidecar.domain.session import Session

from tests.sidecar.sessions.faults import Operation
from tests.sidecar.sessions.workers import HOUR, VIRTUAL_TIME, cluster

pytestmark = VIRTUAL_TIME

MANY = 1_500


async def slow(operation: Operation) -> object:
    await asyncio.sleep(0.3)
    return await operation()


async def test_a_shutdown_ends_all_of_them() -> None:
    async with cluster("a", on_shutdown=OnShutdown.INVALIDATE) as one:
        (a,) = one.workers
        ids = [await a.new() for _ in range(MANY)]
        a.link.always = slow
        assert await a.close(20)
        records = [await one.stored(session_id) for session_id in ids]
        assert not any(isinstance(record, Session) for record in records)


async def test_a_scavenge_of_one_large_round_ends_all_of_them() -> None:
    async with cluster("a", "b", scavenge_limit=10_000, scavenge_period_ms=0) as two:
        a, b = two.workers
        ids = [await a.new() for _ in range(MANY)]
        two.clock.skip(3 * HOUR)
        b.link.always = slow
        await b.housekeeping.scavenge()
        records = [await two.stored(session_id) for session_id in ids]
        assert not any(isinstance(record, Session) for record in records)
