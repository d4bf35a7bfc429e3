"""Times of accesses are coalesced, written in bulk, and never so late that a session is lost."""

import asyncio

import pytest
from moorline_api import CacheMode
from moorline_sidecar.domain.ids import Hint
from moorline_sidecar.errors import SessionEnded, StoreError
from moorline_sidecar.hot import Times
from moorline_sidecar.sessions.touching import BATCH_MAX

from tests.sidecar.sessions.faults import Gate, Operation, unavailable
from tests.sidecar.sessions.workers import MINUTE, SECOND, T0, VIRTUAL_TIME, Worker, cluster

pytestmark = VIRTUAL_TIME


async def use(worker: Worker, session_id: str, seconds: int, *, every: float = 0.1) -> None:
    """Read a session all the time."""
    served = await worker.get(session_id)
    for _ in range(int(seconds / every)):
        await asyncio.sleep(every)
        served = await worker.get(session_id, worker.hint_of(served))


@pytest.mark.parametrize("mode", list(CacheMode))
async def test_accesses_are_written_once_a_touch_period(mode: CacheMode) -> None:
    async with cluster(touch_period_ms=10 * SECOND, cache_mode=mode) as two:
        a, _ = two.workers
        session_id = await a.new()
        await use(a, session_id, 60)
        assert 5 <= a.link.calls["touch"] <= 6


async def test_no_access_stays_unwritten_for_longer_than_a_touch_period() -> None:
    async with cluster(touch_period_ms=10 * SECOND) as two:
        a, _ = two.workers
        session_id = await a.new()
        for _ in range(60):
            await asyncio.sleep(0.7)
            times = (await a.get(session_id)).entry.times
            stored = await two.session(session_id)
            assert times.own_accessed - stored.accessed <= 10 * SECOND + 300


async def test_an_access_while_times_are_written_does_not_double_the_writes() -> None:
    async with cluster(touch_period_ms=10 * SECOND) as two:
        a, _ = two.workers
        session_id = await a.new()

        async def slow(operation: Operation) -> object:
            await asyncio.sleep(0.5)
            return await operation()

        a.link.plan("touch", slow, times=100)
        await use(a, session_id, 60)
        assert a.link.calls["touch"] <= 6


async def test_a_period_that_is_longer_than_a_tenth_of_the_life_is_cut() -> None:
    async with cluster(max_idle_ms=20 * SECOND) as two:
        a, _ = two.workers
        session_id = await a.new()
        await use(a, session_id, 20)
        # What becomes due in a tick is written when it begins: after 1.75 to 2 s.
        assert 9 <= a.link.calls["touch"] <= 12


async def test_without_a_touch_period_each_access_is_written_before_it_is_answered() -> None:
    async with cluster(touch_period_ms=0) as two:
        a, _ = two.workers
        session_id = await a.new()
        for n in range(1, 4):
            await asyncio.sleep(1)
            await a.get(session_id)
            assert (await two.session(session_id)).accessed == T0 + n * SECOND


async def test_an_access_near_the_stored_end_is_written_before_it_is_answered() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new()
        two.clock.skip(28 * MINUTE)
        await a.get(session_id)
        assert (await two.session(session_id)).accessed == T0
        two.clock.skip(1)
        await a.get(session_id)
        assert (await two.session(session_id)).accessed == T0 + 28 * MINUTE + 1


async def test_an_urgent_access_is_answered_also_if_it_cannot_be_written() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new()
        two.clock.skip(29 * MINUTE)
        a.link.plan("touch", unavailable)
        await a.get(session_id)
        assert (await two.session(session_id)).accessed == T0
        await asyncio.sleep(2)
        assert (await two.session(session_id)).accessed == T0 + 29 * MINUTE


async def test_many_sessions_are_touched_in_one_write_and_confirmed_in_one_read() -> None:
    async with cluster(touch_period_ms=10 * SECOND) as two:
        a, _ = two.workers
        ids = [await a.new() for _ in range(100)]
        await asyncio.sleep(1)
        for session_id in ids:
            await a.get(session_id, Hint(1, "a"))
        await asyncio.sleep(10)
        assert a.link.calls["touch"] == 1
        assert a.link.calls["confirm"] == 1
        assert len(a.link.touched) == 100


async def test_a_touch_is_no_change() -> None:
    async with cluster(touch_period_ms=0) as two:
        a, _ = two.workers
        session_id = await a.new()
        two.clock.skip(SECOND)
        assert (await a.get(session_id)).entry.stored.version == 1
        assert (await two.session(session_id)).version == 1


async def test_the_touch_says_which_worker_it_was() -> None:
    async with cluster(touch_period_ms=0) as two:
        a, b = two.workers
        session_id = await a.new()
        two.clock.skip(SECOND)
        await b.get(session_id)
        session = await two.session(session_id)
        assert session.last_node == "b"
        assert session.last_accessed == T0
        assert session.expiry == T0 + SECOND + 30 * MINUTE


async def test_a_copy_that_changed_elsewhere_is_dropped_when_its_times_are_written() -> None:
    async with cluster(touch_period_ms=10 * SECOND) as two:
        a, b = two.workers
        changed, ended, same = [await a.new() for _ in range(3)]
        await asyncio.sleep(1)
        for session_id in (changed, ended, same):
            await a.get(session_id)
        await b.patch(changed, set={"user": "ada"})
        await b.delete(ended)
        await asyncio.sleep(10)
        assert a.copy_of(changed) is None
        assert a.copy_of(ended) is None
        assert a.copy_of(same) is not None


async def test_a_touch_does_not_bring_an_ended_session_back() -> None:
    async with cluster(touch_period_ms=10 * SECOND) as two:
        a, b = two.workers
        session_id = await a.new()
        await asyncio.sleep(1)
        await a.get(session_id)
        await b.delete(session_id)
        await asyncio.sleep(10)
        assert a.link.calls["touch"] == 1
        await two.tombstone(session_id)
        with pytest.raises(SessionEnded):
            await a.get(session_id, Hint(1, "a"))


async def test_an_answer_about_an_earlier_moment_does_not_stop_the_writing_of_times() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new()
        await a.patch(session_id, key="once", increment={"n": 1})
        await asyncio.sleep(1)
        await a.get(session_id)
        gate = Gate()

        async def slow(operation: Operation) -> object:
            await asyncio.sleep(0.5)
            return await operation()

        a.link.plan("write", gate.before)
        first = asyncio.create_task(a.patch(session_id, set={"first": 1}))
        await gate.reached.wait()
        a.link.plan("write", slow, times=2)
        rest = asyncio.gather(
            a.patch(session_id, key="once", increment={"n": 1}),
            a.patch(session_id, set={"second": 2}),
            a.patch(session_id, if_match=4, set={"third": 3}),
        )
        await asyncio.sleep(0)
        gate.open()
        await first
        await rest
        await asyncio.sleep(63)
        at = two.clock.now()
        await a.get(session_id)
        await asyncio.sleep(62)
        assert (await two.session(session_id)).accessed >= at


async def test_an_access_is_written_also_when_its_session_was_evicted() -> None:
    async with cluster(touch_period_ms=10 * SECOND) as two:
        a, _ = two.workers
        session_id = await a.new()
        await asyncio.sleep(1)
        await a.get(session_id)
        a.evict(session_id)
        await asyncio.sleep(10)
        assert (await two.session(session_id)).accessed == T0 + SECOND


async def test_a_touch_never_goes_back_behind_a_later_access_of_another_worker() -> None:
    async with cluster(touch_period_ms=10 * SECOND) as two:
        a, b = two.workers
        session_id = await a.new()
        gate = Gate()
        a.link.plan("touch", gate.before)
        await asyncio.sleep(1)
        await a.get(session_id)
        await gate.reached.wait()
        await b.patch(session_id, set={"user": "ada"})
        gate.open()
        await asyncio.sleep(1)
        session = await two.session(session_id)
        assert session.last_node == "b"
        assert session.accessed == T0 + 10 * SECOND


async def test_a_life_span_changed_elsewhere_reaches_the_times_that_wait() -> None:
    async with cluster(touch_period_ms=10 * SECOND) as two:
        a, b = two.workers
        session_id = await a.new()
        await asyncio.sleep(1)
        await a.get(session_id)
        await b.patch(session_id, max_idle_ms=MINUTE)
        await asyncio.sleep(4)
        await a.get(session_id, Hint(1, "a"))
        await asyncio.sleep(10)
        session = await two.session(session_id)
        assert session.max_idle_ms == MINUTE
        assert session.expiry == T0 + 5 * SECOND + MINUTE


async def test_times_of_long_periods_are_written_in_rounds_of_a_second() -> None:
    async with cluster(touch_period_ms=MINUTE) as two:
        a, _ = two.workers
        for _ in range(100):
            session_id = await a.new()
            await asyncio.sleep(0.1)
            await a.get(session_id)
        await asyncio.sleep(61)
        assert len(a.link.touched) == 100
        assert a.link.calls["touch"] <= 12


class Looked(dict[str, Times]):
    """Counts how often somebody has looked something up."""

    looks = 0

    def get(self, key: str, default: Times | None = None) -> Times | None:  # type: ignore[override]
        self.looks += 1
        return super().get(key, default)


async def test_a_batch_that_fails_leaves_all_and_has_looked_at_no_others() -> None:
    """A slow store would keep the loop busy with times that are not written anyway."""
    count = 3 * BATCH_MAX
    async with cluster(touch_period_ms=10 * SECOND) as two:
        a, _ = two.workers
        ids = [await a.new() for _ in range(count)]
        await asyncio.sleep(1)
        for session_id in ids:
            await a.get(session_id, Hint(1, "a"))
        a.core.unwritten = looked = Looked(a.core.unwritten)
        a.link.plan("touch", unavailable)
        with pytest.raises(StoreError):
            await a.touching.flush(directly=True)
        assert (len(looked), len(a.link.touched)) == (count, BATCH_MAX)
        assert looked.looks <= 2 * BATCH_MAX

        await a.touching.flush(directly=True)
        assert not looked
        assert len({touch.key for touch in a.link.touched}) == count
