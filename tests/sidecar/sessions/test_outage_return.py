"""The store is in reach again: times first, then all as before, without a restart."""

import asyncio

import pytest
from moorline_api import CacheMode
from moorline_sidecar.domain.ids import Hint
from moorline_sidecar.errors import SessionEnded, StoreUnavailable

from tests.sidecar.sessions.faults import Gate, Operation
from tests.sidecar.sessions.workers import (
    MINUTE,
    SECOND,
    T0,
    VIRTUAL_TIME,
    Worker,
    cluster,
    content,
    cut,
    until,
)

pytestmark = VIRTUAL_TIME


@pytest.mark.parametrize("mode", list(CacheMode))
async def test_when_the_store_is_back_all_is_as_before(mode: CacheMode) -> None:
    async with cluster(cache_mode=mode) as two:
        a, b = two.workers
        session_id = await a.new(n=0)
        await cut(a)
        await b.patch(session_id, increment={"n": 1})
        await asyncio.sleep(10)
        a.link.is_cut = False
        await asyncio.sleep(1)
        assert not a.core.availability.is_down
        assert content(await a.patch(session_id, increment={"n": 1})) == {"n": 2}
        assert a.core.counters.outages == 1


async def test_on_return_the_times_are_written_before_anything_else() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new()
        await cut(a)
        await asyncio.sleep(5)
        at = two.clock.now()
        await a.get(session_id)
        a.link.calls.clear()
        gate = Gate()
        a.link.plan("touch", gate.before)
        a.link.is_cut = False
        await gate.reached.wait()
        with pytest.raises(StoreUnavailable):
            await a.patch(session_id, set={"n": 1})
        assert set(a.link.calls) <= {"now", "touch"}
        gate.open()
        await until(lambda: not a.core.availability.is_down)
        assert (await two.session(session_id)).accessed == at


async def test_a_busy_worker_comes_back_although_accesses_go_on() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new()
        await cut(a)

        async def while_in_use(operation: Operation) -> object:
            await asyncio.sleep(0.005)
            await a.get(session_id, Hint(1, "a"))
            return await operation()

        a.link.plan("touch", while_in_use, times=10_000)
        await asyncio.sleep(1)
        await a.get(session_id)
        a.link.is_cut = False
        await asyncio.sleep(2)
        assert not a.core.availability.is_down


async def test_nothing_is_ended_for_idleness_for_two_touch_periods_after_the_return() -> None:
    async with cluster(max_idle_ms=2 * MINUTE, scavenge_grace_ms=0) as two:
        a, b = two.workers
        mine, theirs = await a.new(), await b.new()
        await a.get(theirs)
        await cut(a)
        two.clock.skip(10 * MINUTE)
        a.link.is_cut = False
        await until(lambda: not a.core.availability.is_down)
        two.clock.skip(2 * MINUTE - SECOND)
        await a.housekeeping.scavenge()
        for session_id in (mine, theirs):
            await a.get(session_id, is_access=False)
        two.clock.skip(SECOND)
        for session_id in (mine, theirs):
            with pytest.raises(SessionEnded):
                await a.get(session_id, is_access=False)


async def test_the_deadline_holds_also_right_after_the_return() -> None:
    async with cluster(max_age_ms=MINUTE) as two:
        a, _ = two.workers
        session_id = await a.new()
        await cut(a)
        two.clock.skip(MINUTE)
        a.link.is_cut = False
        await until(lambda: not a.core.availability.is_down)
        with pytest.raises(SessionEnded):
            await a.get(session_id)
        assert (await two.tombstone(session_id)).created == T0


async def test_a_worker_starts_without_a_store_and_works_once_it_is_there() -> None:
    async with cluster("a", "b") as two:
        late = Worker(two.workers[0].link, two.workers[0].policy, two.clock)
        late.link.is_cut = True
        async with late:
            await asyncio.sleep(10)
            with pytest.raises(StoreUnavailable):
                await late.new()
            late.link.is_cut = False
            await asyncio.sleep(2)
            await late.new()
