"""A policy that changes while sessions are served: what goes by which of the two."""

import asyncio

import pytest
from moorline_api import Eviction, SaveMode, WhenReached
from moorline_sidecar.errors import TooLarge
from moorline_sidecar.sessions.core import STEP_SESSIONS
from msgspec import structs

from tests.sidecar.sessions.faults import Gate
from tests.sidecar.sessions.workers import (
    HOUR,
    MINUTE,
    SECOND,
    VIRTUAL_TIME,
    Worker,
    cluster,
    living,
    login,
    until,
)

pytestmark = VIRTUAL_TIME


def change(worker: Worker, **policy: object) -> None:
    worker.follow(structs.replace(worker.policy, **policy))


async def scavenged_within(worker: Worker, seconds: float) -> bool:
    before = worker.housekeeping.last
    await asyncio.sleep(seconds)
    return worker.housekeeping.last is not before


async def test_sessions_begin_by_the_new_policy_and_go_on_by_their_own() -> None:
    async with cluster() as two:
        a, _ = two.workers
        before = await two.session(await a.new())
        change(a, max_idle_ms=5 * MINUTE, max_age_ms=HOUR)
        after = await two.session(await a.new())
        assert (before.max_idle_ms, before.deadline) == (30 * MINUTE, None)
        assert after.max_idle_ms == 5 * MINUTE
        assert after.deadline == after.created + HOUR


async def test_a_smaller_limit_refuses_the_next_change() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new()
        await a.patch(session_id, set={"large": "x" * 5_000})
        change(a, max_session_bytes=2_000)
        with pytest.raises(TooLarge) as refused:
            await a.patch(session_id, set={"large": "y" * 6_000})
        assert refused.value.limit == 2_000


async def test_a_smaller_cache_evicts_at_once() -> None:
    async with cluster() as two:
        a, _ = two.workers
        for _ in range(50):
            await a.new()
        change(a, cache_sessions=10)
        assert len(a.core.l1) == 10
        change(a, cache_bytes=1)
        assert len(a.core.l1) == 0
        change(a, cache_sessions=30, cache_bytes=1 << 20)
        for _ in range(50):
            await a.new()
        assert len(a.core.l1) == 30


async def test_a_cache_that_shrinks_a_lot_does_so_while_others_are_served() -> None:
    async with cluster() as two:
        a, _ = two.workers
        ids = [await a.new() for _ in range(2 * STEP_SESSIONS)]
        change(a, cache_sessions=10)
        assert len(a.core.l1) == STEP_SESSIONS
        await a.get(ids[0])
        await until(lambda: len(a.core.l1) == 10)
        assert a.core.l1.max_sessions == 10


async def test_a_cache_that_is_to_shrink_and_then_not_keeps_the_last_bounds() -> None:
    async with cluster() as two:
        a, _ = two.workers
        for _ in range(2 * STEP_SESSIONS):
            await a.new()
        change(a, cache_sessions=10)
        change(a, cache_sessions=5_000)
        await asyncio.sleep(1)
        assert a.core.l1.max_sessions == 5_000
        assert len(a.core.l1) == STEP_SESSIONS


async def test_a_smaller_cache_keeps_what_is_unsaved() -> None:
    async with cluster(save_mode=SaveMode.SHUTDOWN) as two:
        a, _ = two.workers
        session_id = await a.new()
        await a.patch(session_id, set={"user": "ada"})
        change(a, cache_bytes=1)
        assert a.unsaved == 1
        await until(lambda: not a.unsaved)
        assert (await two.session(session_id)).contexts["/"] == {"user": "ada"}


@pytest.mark.parametrize("mode", [SaveMode.WRITE, SaveMode.PERIODIC])
async def test_what_waits_for_the_end_is_saved_when_it_need_not_wait_any_more(
    mode: SaveMode,
) -> None:
    async with cluster(save_mode=SaveMode.SHUTDOWN) as two:
        a, _ = two.workers
        session_id = await a.new()
        await a.patch(session_id, set={"user": "ada"})
        await asyncio.sleep(60)
        assert a.unsaved == 1
        change(a, save_mode=mode)
        await until(lambda: not a.unsaved, 10)
        assert (await two.session(session_id)).contexts["/"] == {"user": "ada"}


async def test_a_scavenge_that_was_turned_off_is_turned_on() -> None:
    async with cluster(scavenge_period_ms=0) as two:
        a, _ = two.workers
        assert not await scavenged_within(a, 900)
        change(a, scavenge_period_ms=10 * MINUTE)
        assert await scavenged_within(a, 1), "the delay since the start is over"
        assert not await scavenged_within(a, 500)
        assert await scavenged_within(a, 200)


async def test_a_scavenge_is_turned_off() -> None:
    async with cluster() as two:
        a, _ = two.workers
        assert await scavenged_within(a, 61)
        change(a, scavenge_period_ms=0)
        assert not await scavenged_within(a, 900)


async def test_a_shorter_period_counts_from_the_last_scavenge() -> None:
    async with cluster(scavenge_period_ms=20 * MINUTE) as two:
        a, _ = two.workers
        await scavenged_within(a, 61)
        await asyncio.sleep(120)
        change(a, scavenge_period_ms=5 * MINUTE)
        assert not await scavenged_within(a, 145)
        assert await scavenged_within(a, 70)


async def test_idle_sessions_leave_the_cache_as_soon_as_they_are_to() -> None:
    async with cluster(evict_idle_ms=10 * SECOND) as two:
        a, _ = two.workers
        session_id = await a.new()
        await asyncio.sleep(60)
        assert a.copy_of(session_id) is not None
        change(a, evict=Eviction.AFTER_IDLE)
        await until(lambda: a.copy_of(session_id) is None, 1)
        change(a, evict=Eviction.NEVER)
        await a.get(session_id)
        await asyncio.sleep(60)
        assert a.copy_of(session_id) is not None


async def test_a_request_goes_by_one_limit_per_principal() -> None:
    """By halves it would pass the first limit, and end sessions by the second."""
    async with cluster(principal_max=3, when_reached=WhenReached.REFUSE) as two:
        a, _ = two.workers
        ids = [await login(a), await login(a)]
        gate = Gate()
        a.link.plan("insert", gate.before)
        third = asyncio.create_task(login(a))
        await gate.reached.wait()
        change(a, principal_max=1, when_reached=WhenReached.END_OLDEST)
        gate.open()
        ids.append(await third)
        assert await living(two, ids) == ids
        two.clock.skip(SECOND)
        last = await login(a)
        assert await living(two, [*ids, last]) == [last]


async def test_a_pause_ends_with_the_policy() -> None:
    async with cluster() as two:
        core = two.workers[0].core
        assert not await core.pause(1)
        pausing = [asyncio.create_task(core.pause(seconds)) for seconds in (None, 3_600)]
        await asyncio.sleep(1)
        change(two.workers[0], max_idle_ms=1)
        assert await asyncio.gather(*pausing) == [True, True]
