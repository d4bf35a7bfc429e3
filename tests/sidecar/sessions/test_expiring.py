"""Expiry: idle never early and at most `slack` late, `maxAge` exact, on every worker."""

import asyncio
import random

import pytest
from moorline_api import CacheMode, SaveMode
from moorline_sidecar.domain.ids import Hint
from moorline_sidecar.domain.session import Reason
from moorline_sidecar.errors import SessionEnded

from tests.sidecar.sessions.faults import Gate, request_lost
from tests.sidecar.sessions.workers import HOUR, MINUTE, SECOND, T0, VIRTUAL_TIME, Worker, cluster

pytestmark = VIRTUAL_TIME

IDLE = 30 * MINUTE
SLACK = 65 * SECOND
"""A touch period of a minute, and five seconds."""


async def assert_expired(worker: Worker, session_id: str, hint: Hint | None = None) -> None:
    with pytest.raises(SessionEnded) as ended:
        await worker.get(session_id, hint)
    assert ended.value.reason is Reason.EXPIRED


async def test_an_access_moves_the_times() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new()
        two.clock.skip(MINUTE)
        await a.get(session_id)
        two.clock.skip(MINUTE)
        times = (await a.get(session_id)).entry.times
        assert times.own_last_accessed == T0 + MINUTE
        assert times.own_accessed == T0 + 2 * MINUTE
        assert times.own_expiry == T0 + 2 * MINUTE + IDLE


async def test_a_peek_is_no_access() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new()
        two.clock.skip(IDLE - 1)
        assert (await a.get(session_id, is_access=False)).entry.times.own_accessed == T0
        two.clock.skip(1)
        await assert_expired(a, session_id)


async def test_who_holds_the_newest_access_ends_a_session_to_the_millisecond() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new()
        two.clock.skip(IDLE - 1)
        await a.get(session_id, is_access=False)
        two.clock.skip(1)
        await assert_expired(a, session_id)
        assert (await two.tombstone(session_id)).reason is Reason.EXPIRED


async def test_another_worker_waits_for_accesses_that_may_be_unwritten() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = await a.new()
        two.clock.skip(IDLE + SLACK)
        await b.get(session_id, is_access=False)
        two.clock.skip(1)
        await assert_expired(b, session_id)


async def test_a_hint_that_names_another_worker_makes_this_one_wait() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new()
        two.clock.skip(IDLE + SLACK)
        await a.get(session_id, Hint(1, "b"), is_access=False)
        two.clock.skip(1)
        await assert_expired(a, session_id, Hint(1, "b"))


async def test_an_expiry_is_not_written_over_an_access_that_was_written_meanwhile() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = await a.new()
        gate = Gate()
        a.link.plan("write", gate.before)
        two.clock.skip(IDLE)
        expiring = asyncio.create_task(a.get(session_id))
        await gate.reached.wait()
        await b.get(session_id)
        gate.open()
        served = await expiring
        assert served.entry.times.own_expiry == T0 + 2 * IDLE
        await two.session(session_id)


async def test_an_access_that_the_end_overtakes_is_not_answered_as_if_it_had_counted() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = await a.new()
        gate = Gate()
        b.link.plan("touch", gate.before)
        two.clock.skip(IDLE - 1)
        accessing = asyncio.create_task(b.get(session_id))
        await gate.reached.wait()
        two.clock.skip(1)
        await assert_expired(a, session_id)
        gate.open()
        with pytest.raises(SessionEnded):
            await accessing


@pytest.mark.parametrize("seed", range(3))
async def test_a_session_in_use_on_both_workers_never_expires(seed: int) -> None:
    chance = random.Random(seed)
    async with cluster(max_idle_ms=10 * SECOND) as two:
        session_id = await two.workers[0].new()
        hint = None
        for _ in range(60):
            await asyncio.sleep(chance.choice([0.05, 0.9, 5, 9, 9.99]))
            worker = chance.choice(two.workers)
            served = await worker.get(session_id, chance.choice([None, hint]))
            hint = worker.hint_of(served)


@pytest.mark.parametrize("max_idle_ms", [20 * SECOND, MINUTE, IDLE])
async def test_an_idle_session_is_found_expired_within_the_slack_by_everyone(
    max_idle_ms: int,
) -> None:
    async with cluster(max_idle_ms=max_idle_ms) as two:
        a, b = two.workers
        period = min(MINUTE, max_idle_ms // 10)
        session_id = await a.new()
        for _ in range(5):
            two.clock.skip(max_idle_ms // 3)
            await a.get(session_id)
            # The touch is coalesced: the store hears of the access within the period.
            await asyncio.sleep(0.3)
        last = two.clock.now() - 300
        two.clock.skip(last + max_idle_ms + period + 5 * SECOND + 1 - two.clock.now())
        await assert_expired(b, session_id)


async def test_the_own_life_of_a_session_decides_not_that_of_the_cluster() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = (await a.put("s" * 32, max_idle_ms=10 * SECOND))[1]
        two.clock.skip(10 * SECOND)
        await b.get(session_id, is_access=False)
        await assert_expired(a, session_id)


async def test_a_session_without_a_life_span_never_expires() -> None:
    async with cluster(max_idle_ms=0) as two:
        session_id = await two.workers[0].new()
        two.clock.skip(10_000 * HOUR)
        for worker in two.workers:
            await worker.get(session_id)


@pytest.mark.parametrize("mode", list(CacheMode))
async def test_the_deadline_is_exact_on_every_worker_however_busy_the_session(
    mode: CacheMode,
) -> None:
    async with cluster(max_age_ms=HOUR, cache_mode=mode) as two:
        ids = [await two.workers[0].new() for _ in two.workers]
        for _ in range(5):
            two.clock.skip(10 * MINUTE)
            for worker, session_id in zip(two.workers, ids, strict=True):
                await worker.get(session_id)
        two.clock.skip(10 * MINUTE - 1)
        for worker, session_id in zip(two.workers, ids, strict=True):
            await worker.get(session_id)
        two.clock.skip(1)
        for worker, session_id in zip(two.workers, ids, strict=True):
            await assert_expired(worker, session_id)


async def test_a_renew_does_not_move_the_deadline() -> None:
    async with cluster(max_age_ms=HOUR) as two:
        a, _ = two.workers
        session_id = await a.new()
        two.clock.skip(20 * MINUTE)
        _, session_id = await a.renewed(session_id)
        two.clock.skip(20 * MINUTE)
        await a.get(session_id)
        two.clock.skip(20 * MINUTE)
        await assert_expired(a, session_id)


async def test_a_changed_life_span_holds_at_once() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new()
        await a.patch(session_id, max_idle_ms=MINUTE)
        assert (await two.session(session_id)).expiry == T0 + MINUTE
        two.clock.skip(MINUTE)
        await assert_expired(a, session_id)


async def test_a_save_in_the_background_is_no_access() -> None:
    async with cluster(
        save_mode=SaveMode.PERIODIC,
        save_period_ms=MINUTE,
        max_idle_ms=100 * SECOND,
        touch_period_ms=SECOND,
    ) as two:
        a, _ = two.workers
        session_id = await a.new()
        await a.patch(session_id, set={"user": "ada"})
        await asyncio.sleep(61)
        session = await two.session(session_id)
        assert session.contexts == {"/": {"user": "ada"}}
        assert session.accessed == T0
        await asyncio.sleep(39)
        await assert_expired(a, session_id)


async def test_an_access_counts_that_only_this_worker_knows_in_a_long_outage() -> None:
    async with cluster(max_idle_ms=MINUTE) as two:
        a, b = two.workers
        session_id = await b.new()
        await a.get(session_id)
        a.link.is_cut = True
        for _ in range(8):
            await asyncio.sleep(20)
            await a.get(session_id)


async def test_an_expiry_whose_outcome_is_unknown_is_an_expiry_for_the_reader() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new()
        two.clock.skip(IDLE)
        a.link.plan("write", request_lost, times=1000)
        await assert_expired(a, session_id)
