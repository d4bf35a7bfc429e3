"""Bounds: what is too much is refused quickly, and what is slow in the background harms nobody."""

import asyncio

import pytest
from moorline_sidecar.errors import Overloaded
from moorline_sidecar.sessions import batching, touching, writing
from moorline_sidecar.sessions.batching import Batcher

from tests.sidecar.sessions.faults import Gate, Operation
from tests.sidecar.sessions.slow_calls import SlowCalls, let_run
from tests.sidecar.sessions.workers import (
    MINUTE,
    SECOND,
    VIRTUAL_TIME,
    cluster,
    content,
    until,
)

pytestmark = VIRTUAL_TIME


async def hanging(_operation: Operation) -> None:
    """No answer comes."""
    await asyncio.sleep(3600)


async def test_one_item_too_many_is_refused_at_once() -> None:
    calls = SlowCalls()
    batcher: Batcher[str, str] = Batcher(calls.work, calls.spawn, in_flight_max=1, waiting_max=3)
    sent = asyncio.create_task(batcher.submit("sent", "sent"))
    await let_run()
    waiting = [asyncio.create_task(batcher.submit(key, key)) for key in "abc"]
    await let_run()
    with pytest.raises(Overloaded):
        await batcher.submit("d", "d")
    assert not sent.done()
    calls.made[0].succeed()
    await let_run()
    calls.made[1].succeed()
    assert await asyncio.gather(*waiting) == ["a!", "b!", "c!"]


async def test_what_has_waited_for_too_long_is_not_sent_any_more() -> None:
    calls = SlowCalls()
    batcher: Batcher[str, str] = Batcher(calls.work, calls.spawn, in_flight_max=1)
    sent = asyncio.create_task(batcher.submit("sent", "sent"))
    await let_run()
    early = asyncio.create_task(batcher.submit("early", "early"))
    await asyncio.sleep(batching.WAIT_SECONDS + 0.1)
    late = asyncio.create_task(batcher.submit("late", "late"))
    await let_run()
    calls.made[0].succeed()
    with pytest.raises(Overloaded):
        await early
    await let_run()
    assert calls.asked == [["sent"], ["late"]]
    calls.made[1].succeed()
    assert [await sent, await late] == ["sent!", "late!"]


async def test_too_many_changes_behind_one_write_are_refused_and_copies_served() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new(n=0)
        served = await a.get(session_id)
        gate = Gate()
        a.link.plan("write", gate.before)
        first = asyncio.create_task(a.patch(session_id, increment={"n": 1}))
        await gate.reached.wait()
        behind = [
            asyncio.create_task(a.patch(session_id, increment={"n": 1}))
            for _ in range(writing.QUEUED_MAX)
        ]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await a.patch(session_id, increment={"n": 1})
        assert content(await a.get(session_id, a.hint_of(served))) == {"n": 0}
        gate.open()
        await asyncio.gather(first, *behind)
        assert content(await a.get(session_id)) == {"n": writing.QUEUED_MAX + 1}
        assert a.core.counters.overloads == 1


async def test_a_slow_batch_of_times_alone_does_not_take_the_store_away() -> None:
    async with cluster(touch_period_ms=10 * SECOND) as two:
        a, _ = two.workers
        ids = [await a.new() for _ in range(100)]
        await asyncio.sleep(1)
        for session_id in ids:
            await a.get(session_id)
        at = two.clock.now()
        a.link.plan("touch", hanging, times=2)
        for _ in range(250):
            await asyncio.sleep(0.1)
            assert not a.core.availability.is_down
        assert a.core.counters.outages == 0
        for session_id in ids:
            assert (await two.session(session_id)).accessed == at


async def test_a_slow_batch_of_times_has_the_heartbeat_look_at_once() -> None:
    async with cluster(touch_period_ms=10 * SECOND) as two:
        a, _ = two.workers
        session_id = await a.new()
        await asyncio.sleep(1)
        await a.get(session_id)

        async def slow_and_gone(operation: Operation) -> None:
            a.link.is_cut = True
            await hanging(operation)

        # Heartbeats are answered until the call has timed out.
        a.link.plan("touch", hanging)
        a.link.plan("touch", slow_and_gone)
        await until(lambda: a.core.availability.is_down, seconds=30)
        assert a.core.counters.outages == 1


async def test_a_batch_that_takes_too_long_is_halved_until_it_does_not() -> None:
    async with cluster(touch_period_ms=10 * SECOND, max_idle_ms=30 * MINUTE) as two:
        a, _ = two.workers
        ids = [await a.new() for _ in range(400)]
        await asyncio.sleep(1)
        sizes: list[int] = []
        seen = 0

        async def slow(operation: Operation) -> object:
            """As long as there are times in it: 40 ms each."""
            nonlocal seen
            size, seen = len(a.link.touched) - seen, len(a.link.touched)
            sizes.append(size)
            await asyncio.sleep(0.04 * size)
            return await operation()

        a.link.plan("touch", slow, times=1000)
        for session_id in ids:
            await a.get(session_id)
        at = two.clock.now()
        await until(lambda: not a.core.unwritten, seconds=60)
        assert a.core.counters.outages == 0
        assert sizes[:3] == [touching.BATCH_MAX, touching.BATCH_MAX // 2, touching.BATCH_MAX // 4]
        assert max(sizes[4:]) * 0.04 < 1
        for session_id in ids:
            assert (await two.session(session_id)).accessed == at
