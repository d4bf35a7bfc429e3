"""The scavenge: what is over becomes tombstones, whoever left it behind."""

import asyncio

import pytest
from moorline_api import Eviction
from moorline_sidecar.domain.ids import Hint
from moorline_sidecar.domain.session import Reason
from moorline_sidecar.errors import SessionEnded, StoreUnavailable

from tests.contract.sessions import a_touch
from tests.sidecar.sessions.faults import Gate
from tests.sidecar.sessions.workers import (
    HOUR,
    MINUTE,
    SECOND,
    VIRTUAL_TIME,
    cluster,
    cut,
    until,
)

pytestmark = VIRTUAL_TIME

SLACK = 65 * SECOND


async def test_sessions_this_worker_knows_become_tombstones_when_their_time_is_over() -> None:
    async with cluster() as two:
        a, _ = two.workers
        over = [await a.new() for _ in range(3)]
        two.clock.skip(15 * MINUTE)
        lives = await a.new()
        two.clock.skip(15 * MINUTE)
        assert (await a.housekeeping.scavenge()).expired == 3
        for session_id in over:
            assert (await two.tombstone(session_id)).reason is Reason.EXPIRED
        await two.session(lives)


async def test_a_scavenge_of_this_worker_leaves_orphans_alone() -> None:
    async with cluster() as two:
        a, b = two.workers
        orphan = await b.new()
        two.clock.skip(10 * HOUR)
        await a.housekeeping.scavenge(everywhere=False)
        await two.session(orphan)


@pytest.mark.parametrize(
    ("grace_ms", "patience_ms"),
    [
        pytest.param(HOUR, HOUR, id="the scavenge's own grace"),
        pytest.param(0, SLACK, id="at least the slack"),
    ],
)
async def test_orphans_are_ended_long_after_their_stored_expiry(
    grace_ms: int, patience_ms: int
) -> None:
    async with cluster(scavenge_grace_ms=grace_ms) as two:
        a, b = two.workers
        orphan = await b.new()
        b.link.is_cut = True
        two.clock.skip(30 * MINUTE + patience_ms)
        assert (await a.housekeeping.scavenge()).orphans == 0
        two.clock.skip(1)
        assert (await a.housekeeping.scavenge()).orphans == 1
        assert (await two.tombstone(orphan)).reason is Reason.EXPIRED


async def test_an_orphan_that_is_used_again_in_time_is_spared() -> None:
    async with cluster(scavenge_grace_ms=0) as two:
        a, b = two.workers
        session_id = await b.new()
        two.clock.skip(30 * MINUTE + SLACK + 1)
        gate = Gate()
        a.link.plan("write", gate.before)
        scavenging = asyncio.create_task(a.housekeeping.scavenge())
        await gate.reached.wait()
        await two.store.touch([a_touch(await two.session(session_id), two.clock.now())])
        gate.open()
        assert (await scavenging).orphans == 0
        await two.session(session_id)


@pytest.mark.parametrize(("limit", "ended"), [(0, 450), (10, 10)])
async def test_a_limit_bounds_one_query(limit: int, ended: int) -> None:
    async with cluster(scavenge_limit=limit) as two:
        a, b = two.workers
        for _ in range(450):
            await b.new()
        two.clock.skip(10 * HOUR)
        scavenged = await a.housekeeping.scavenge()
        assert scavenged.orphans >= ended
        assert limit == 0 or a.link.calls["expired"] * limit >= scavenged.orphans


async def test_two_scavenges_at_once_end_each_session_once() -> None:
    async with cluster("a", "b", "c") as three:
        a, b, c = three.workers
        for _ in range(50):
            await c.new()
        three.clock.skip(10 * HOUR)
        done = await asyncio.gather(a.housekeeping.scavenge(), b.housekeeping.scavenge())
        assert sum(scavenged.orphans for scavenged in done) == 50


async def test_the_scavenge_runs_by_itself_after_its_delay_and_then_every_period() -> None:
    async with cluster(scavenge_delay_ms=10 * SECOND, scavenge_period_ms=20 * SECOND) as two:
        a, b = two.workers
        rounds: dict[str, list[int]] = {"a": [], "b": []}
        for _ in range(1300):
            await asyncio.sleep(0.1)
            for worker in (a, b):
                if worker.link.calls["expired"] > len(rounds[worker.name]):
                    rounds[worker.name].append(two.clock.monotonic())
        assert rounds["a"][0] == pytest.approx(10_000, abs=200)
        assert len(rounds["a"]) == pytest.approx(7, abs=1)
        # Not in step: many pods that start together shall not query together.
        assert rounds["a"] != rounds["b"]


async def test_nobody_is_served_an_expired_session_because_a_scavenge_is_late() -> None:
    async with cluster(scavenge_delay_ms=1000 * HOUR) as two:
        a, b = two.workers
        session_id = await a.new()
        two.clock.skip(30 * MINUTE + SLACK + 1)
        for worker in (b, a):
            with pytest.raises(SessionEnded):
                await worker.get(session_id, Hint(1, "a"))


async def test_a_scavenge_cut_short_by_an_outage_is_made_up_for() -> None:
    async with cluster(scavenge_delay_ms=SECOND, scavenge_period_ms=10 * SECOND) as two:
        a, b = two.workers
        orphan = await b.new()
        await cut(a)
        two.clock.skip(10 * HOUR)
        with pytest.raises(StoreUnavailable):
            await a.housekeeping.scavenge()
        a.link.is_cut = False
        b.link.is_cut = True
        await until(lambda: not a.core.availability.is_down)
        # Nothing is ended for idleness in the first two touch periods.
        await asyncio.sleep(135)
        assert (await two.tombstone(orphan)).reason is Reason.EXPIRED


async def test_idle_copies_are_evicted_where_the_policy_asks_for_it() -> None:
    async with cluster(evict=Eviction.AFTER_IDLE, evict_idle_ms=10 * SECOND) as two:
        a, _ = two.workers
        idle, used = await a.new(), await a.new()
        for _ in range(4):
            await asyncio.sleep(4)
            await a.get(used, Hint(1, "a"))
        assert a.copy_of(idle) is None
        assert a.copy_of(used) is not None
        await a.get(idle)


async def test_after_a_request_nothing_stays_where_the_policy_asks_for_it() -> None:
    async with cluster(evict=Eviction.AFTER_REQUEST) as two:
        a, _ = two.workers
        session_id = await a.new()
        await a.get(session_id)
        assert a.copy_of(session_id) is None
        await a.patch(session_id, set={"user": "ada"})
        assert a.copy_of(session_id) is None
