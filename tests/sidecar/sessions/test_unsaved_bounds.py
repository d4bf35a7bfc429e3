"""What is unsaved is bounded, and saved before it is evicted."""

import asyncio
from collections.abc import Iterable

import pytest
from moorline_api import Eviction, SaveMode
from moorline_sidecar.domain.ids import Hint
from moorline_sidecar.errors import Overloaded

from tests.sidecar.sessions.faults import Gate, unavailable
from tests.sidecar.sessions.workers import VIRTUAL_TIME, Worker, cluster, content, until

pytestmark = VIRTUAL_TIME

CACHE = 200_000
TEXT = 9_000


async def accepted_bytes(worker: Worker, ids: Iterable[str], name: str = "text") -> int:
    """How much may be unsaved before a change is refused."""
    accepted = 0
    for session_id in ids:
        try:
            await worker.patch(session_id, set={name: "x" * TEXT})
        except Overloaded:
            return accepted
        accepted += TEXT
    return accepted


async def test_unsaved_bytes_may_reach_half_of_the_cache() -> None:
    async with cluster(save_mode=SaveMode.PERIODIC, cache_bytes=CACHE) as two:
        a, _ = two.workers
        ids = [await a.new() for _ in range(CACHE // TEXT)]
        accepted = await accepted_bytes(a, ids)
        assert accepted <= CACHE // 2 <= accepted + TEXT + 100
        with pytest.raises(Overloaded):
            await a.patch(ids[-1], set={"text": "x" * TEXT})
        await asyncio.sleep(6)
        await a.patch(ids[-1], set={"text": "x" * TEXT})


async def test_a_change_refused_for_room_changes_nothing() -> None:
    async with cluster(save_mode=SaveMode.PERIODIC, cache_bytes=CACHE) as two:
        a, _ = two.workers
        session_id = await a.new()
        with pytest.raises(Overloaded):
            await a.patch(session_id, set={"text": "x" * (CACHE // 2)})
        assert content(await a.get(session_id)) == {}
        assert not a.unsaved


async def test_an_attribute_written_over_and_over_takes_no_more_room() -> None:
    async with cluster(save_mode=SaveMode.SHUTDOWN, cache_bytes=CACHE) as two:
        a, _ = two.workers
        session_id = await a.new()
        for _ in range(100):
            await a.patch(session_id, set={"text": "x" * 10_000})


async def test_what_a_written_through_change_saved_takes_no_more_room() -> None:
    async with cluster(save_mode=SaveMode.SHUTDOWN, cache_bytes=CACHE) as two:
        a, _ = two.workers
        session_id = await a.new()
        for n in range(100):
            await a.patch(session_id, set={f"n{n % 3}": "x" * 10_000})
            await a.patch(session_id, increment={"n": 1})
        assert not a.unsaved


async def test_what_ended_takes_no_more_room() -> None:
    async with cluster(save_mode=SaveMode.SHUTDOWN, cache_bytes=CACHE) as two:
        a, b = two.workers
        for n in range(100):
            session_id = await a.new()
            await a.patch(session_id, set={"text": "x" * 10_000})
            await (a, b)[n % 2].delete(session_id)
            if n % 2:
                await asyncio.gather(a.get(session_id), return_exceptions=True)
        assert not a.unsaved


@pytest.mark.parametrize("evict", [Eviction.AFTER_IDLE, Eviction.AFTER_REQUEST])
async def test_an_evicted_session_is_saved_first(evict: Eviction) -> None:
    async with cluster(save_mode=SaveMode.SHUTDOWN, evict=evict, evict_idle_ms=1000) as two:
        a, b = two.workers
        session_id = await a.new()
        await a.patch(session_id, set={"user": "ada"})
        if evict is Eviction.AFTER_REQUEST:
            await a.get(session_id)
        else:
            await asyncio.sleep(2)
        assert a.copy_of(session_id) is None
        assert content(await b.get(session_id)) == {"user": "ada"}


async def test_an_outdated_entry_is_not_evicted_in_place_of_one_with_unsaved_changes() -> None:
    async with cluster(save_mode=SaveMode.PERIODIC) as two:
        a, _ = two.workers
        session_id = await a.new()
        outdated = (await a.get(session_id)).entry
        a.evict(session_id)
        await a.patch(session_id, set={"user": "ada"})
        await a.housekeeping.evict(outdated)
        assert content(await a.get(session_id)) == {"user": "ada"}
        await asyncio.sleep(6)
        assert (await two.session(session_id)).contexts == {"/": {"user": "ada"}}


async def test_a_session_that_cannot_be_saved_is_not_evicted() -> None:
    async with cluster(
        save_mode=SaveMode.SHUTDOWN, evict=Eviction.AFTER_IDLE, evict_idle_ms=1000
    ) as two:
        a, _ = two.workers
        session_id = await a.new()
        await a.patch(session_id, set={"user": "ada"})
        a.link.plan("write", unavailable, times=1000)
        await asyncio.sleep(10)
        assert content(await a.get(session_id)) == {"user": "ada"}


@pytest.mark.parametrize("mode", [SaveMode.PERIODIC, SaveMode.SHUTDOWN])
async def test_a_cache_full_of_unsaved_sessions_loses_none_of_them(mode: SaveMode) -> None:
    async with cluster(save_mode=mode, cache_sessions=4, save_period_ms=60_000) as two:
        a, _ = two.workers
        ids = [await a.new() for _ in range(12)]
        for n, session_id in enumerate(ids):
            await a.patch(session_id, set={"n": n})
        for n, session_id in enumerate(ids):
            assert content(await a.get(session_id)) == {"n": n}
        await asyncio.sleep(2)
        assert len(a.core.l1) <= 4
        assert await a.close(1)
        for n, session_id in enumerate(ids):
            assert (await two.session(session_id)).contexts == {"/": {"n": n}}


async def test_a_stale_copy_that_a_slow_change_holds_does_not_push_out_unsaved_changes() -> None:
    async with cluster(save_mode=SaveMode.PERIODIC, touch_period_ms=0) as two:
        a, b = two.workers
        session_id = await a.new()
        slow = Gate()
        a.link.plan("touch", slow.before)
        two.clock.skip(1)
        first = asyncio.create_task(a.patch(session_id, Hint(1, "a"), set={"first": 1}))
        await slow.reached.wait()
        await b.patch(session_id, increment={"n": 1})
        two.clock.skip(1)
        await a.get(session_id, Hint(1, "a"))
        await a.patch(session_id, Hint(2, "a"), set={"second": 2})
        slow.open()
        await first
        assert content(await a.get(session_id)) == {"first": 1, "second": 2, "n": 1}


async def test_a_save_that_fails_gives_no_room_back() -> None:
    async with cluster(save_mode=SaveMode.COMPLETE, cache_bytes=CACHE) as two:
        a, _ = two.workers
        accepted = 0
        while first := await accepted_bytes(a, [session_id := await a.new()]):
            gate = Gate()
            a.link.plan("write", gate.refused)
            completing = asyncio.create_task(a.done(session_id, Hint(1, "a")))
            await gate.reached.wait()
            accepted += first + await accepted_bytes(a, [session_id], "more")
            gate.open()
            await asyncio.gather(completing, return_exceptions=True)
            await until(lambda: not a.core.availability.is_down)
            assert accepted <= CACHE // 2
