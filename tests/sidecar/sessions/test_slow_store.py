"""A store that is slow is not away, and one that is back is noticed whatever still hangs."""

import asyncio

import pytest
from moorline_api import Staleness
from moorline_sidecar.domain.ids import hashed_key
from moorline_sidecar.errors import OutcomeUnknown, StoreUnavailable

from tests.sidecar.sessions.faults import Operation, answer_lost
from tests.sidecar.sessions.workers import MINUTE, VIRTUAL_TIME, Worker, cluster, cut, until

pytestmark = VIRTUAL_TIME

IDLE = 30 * MINUTE


async def hanging(_operation: Operation) -> None:
    await asyncio.Event().wait()


async def selection_took_too_long(_operation: Operation) -> None:
    await asyncio.sleep(2)
    raise StoreUnavailable


async def keep_changing(worker: Worker, session_id: str) -> None:
    while True:
        await worker.patch(session_id, increment={"n": 1})
        await asyncio.sleep(0.2)


async def test_a_call_that_takes_too_long_while_others_are_answered_is_no_outage() -> None:
    async with cluster() as two, asyncio.TaskGroup() as tasks:
        a, _ = two.workers
        slow, other = await a.new(), await a.new()
        others = tasks.create_task(keep_changing(a, other))
        # Not in one batch with the other one.
        await asyncio.sleep(0.1)
        a.link.plan("write", hanging, key=hashed_key(slow))
        with pytest.raises(OutcomeUnknown):
            await a.patch(slow, set={"n": 1})
        assert not a.core.availability.is_down
        await a.patch(slow, set={"n": 2})
        assert a.core.counters.outages == 0
        others.cancel()


async def test_heartbeats_that_hang_while_calls_are_answered_are_no_outage() -> None:
    async with cluster() as two, asyncio.TaskGroup() as tasks:
        a, _ = two.workers
        others = tasks.create_task(keep_changing(a, await a.new()))
        a.link.plan("now", hanging, times=100)
        await asyncio.sleep(20)
        assert a.core.counters.outages == 0
        others.cancel()


async def test_a_store_that_was_busy_until_it_hung_is_away_after_three_seconds() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new()
        for _ in range(20):
            await asyncio.sleep(0.1)
            await a.patch(session_id, increment={"n": 1})
        a.link.always = hanging
        changing = asyncio.create_task(a.patch(session_id, increment={"n": 1}))
        await until(lambda: a.core.availability.is_down, seconds=3)
        with pytest.raises(OutcomeUnknown):
            await changing


async def test_a_copy_is_not_served_unmarked_when_the_question_about_it_took_too_long() -> None:
    async with cluster(staleness=Staleness.ALWAYS) as two, asyncio.TaskGroup() as tasks:
        a, _ = two.workers
        asked, other = await a.new(), await a.new()
        others = tasks.create_task(keep_changing(a, other))
        await asyncio.sleep(0.1)
        a.link.plan("confirm", hanging, key=hashed_key(asked))
        with pytest.raises(StoreUnavailable):
            await a.get(asked)
        assert not a.core.availability.is_down
        others.cancel()


async def test_a_session_that_may_be_used_elsewhere_is_not_called_expired_by_a_slow_store() -> None:
    async with cluster() as two, asyncio.TaskGroup() as tasks:
        a, b = two.workers
        session_id = await a.new()
        two.clock.skip(IDLE - 1)
        await b.get(session_id)
        two.clock.skip(1)
        others = tasks.create_task(keep_changing(a, await a.new()))
        await asyncio.sleep(0.1)
        a.link.plan("write", selection_took_too_long, key=hashed_key(session_id))
        with pytest.raises(StoreUnavailable):
            await a.patch(session_id, set={"n": 1})
        assert not a.core.availability.is_down
        await a.get(session_id)
        others.cancel()


@pytest.mark.parametrize("away_seconds", [4, 5.5, 7, 9.3])
async def test_heartbeats_that_hang_do_not_delay_the_return(away_seconds: float) -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new()
        a.link.always = hanging
        await asyncio.sleep(away_seconds)
        while not a.core.availability.is_down:  # noqa: ASYNC110 a heartbeat finds out
            await asyncio.sleep(0.1)
        a.link.heal()
        # Half a second in the mean; at worst five have begun at once, and the first has to end.
        await until(lambda: not a.core.availability.is_down, seconds=2)
        await a.patch(session_id, set={"n": 1})


async def test_heartbeats_that_hang_are_few() -> None:
    async with cluster() as two:
        a, _ = two.workers
        a.link.always = hanging
        await until(lambda: a.core.availability.is_down)
        a.link.calls.clear()
        await asyncio.sleep(60)
        assert a.link.calls["now"] <= 60 / 0.4


async def test_a_connection_that_broke_is_made_good_by_the_heartbeat_that_follows_at_once() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new()
        await asyncio.sleep(1)
        a.link.plan("write", answer_lost)
        changing = asyncio.create_task(a.patch(session_id, set={"n": 1}))
        await until(lambda: a.core.counters.outages == 1)
        await until(lambda: not a.core.availability.is_down, seconds=0.05)
        await changing
        await cut(a)
