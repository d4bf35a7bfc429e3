"""SIGTERM: all that is unsaved is written, in every mode, within the time given."""

import asyncio

import pytest
from moorline_api import OnShutdown, SaveMode
from moorline_sidecar.domain.session import Reason
from moorline_sidecar.errors import SessionEnded, ShuttingDown
from moorline_sidecar.stores.base import Outcome

from tests.sidecar.sessions.faults import Gate, Operation
from tests.sidecar.sessions.workers import (
    MINUTE,
    SECOND,
    T0,
    VIRTUAL_TIME,
    cluster,
    content,
    until,
)

pytestmark = VIRTUAL_TIME

DEFERRING = [SaveMode.COMPLETE, SaveMode.PERIODIC, SaveMode.SHUTDOWN]


async def hanging(_operation: Operation) -> None:
    """A store that answers nothing."""
    await asyncio.Event().wait()


@pytest.mark.parametrize("mode", list(SaveMode))
async def test_everything_is_saved_in_every_mode(mode: SaveMode) -> None:
    async with cluster(save_mode=mode, save_period_ms=MINUTE) as two:
        a, b = two.workers
        ids = [await a.new() for _ in range(200)]
        for n, session_id in enumerate(ids):
            await a.patch(session_id, set={"n": n})
        assert await a.close(1)
        assert not a.unsaved
        for n, session_id in enumerate(ids):
            assert content(await b.get(session_id)) == {"n": n}


async def test_times_that_wait_are_written() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new()
        two.clock.skip(30 * SECOND)
        await a.get(session_id)
        assert await a.close(1)
        assert (await two.session(session_id)).accessed == T0 + 30 * SECOND


async def test_a_closing_worker_reads_still_but_changes_nothing() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new(user="ada")
        await a.close(1)
        assert content(await a.get(session_id)) == {"user": "ada"}
        with pytest.raises(ShuttingDown):
            await a.patch(session_id, set={"late": 1})
        with pytest.raises(ShuttingDown):
            await a.new()
        with pytest.raises(ShuttingDown):
            await a.renewed(session_id)
        with pytest.raises(ShuttingDown):
            await a.delete(session_id)


@pytest.mark.parametrize("mode", DEFERRING)
async def test_a_store_that_comes_back_in_time_gets_everything(mode: SaveMode) -> None:
    async with cluster(save_mode=mode) as two:
        a, _ = two.workers
        session_id = await a.new()
        await a.patch(session_id, set={"user": "ada"})
        a.link.is_cut = True
        closing = asyncio.create_task(a.close(8))
        await asyncio.sleep(5)
        a.link.is_cut = False
        assert await closing
        assert (await two.session(session_id)).contexts == {"/": {"user": "ada"}}


@pytest.mark.parametrize("mode", DEFERRING)
async def test_what_a_store_that_stays_away_does_not_take_is_counted(mode: SaveMode) -> None:
    async with cluster(save_mode=mode) as two:
        a, _ = two.workers
        session_id = await a.new()
        await a.patch(session_id, set={"user": "ada"})
        await a.patch(session_id, set={"cart": 1})
        a.link.is_cut = True
        began = two.clock.monotonic()
        assert not await a.close(8)
        assert 8 * SECOND <= two.clock.monotonic() - began <= 9 * SECOND
        assert a.core.counters.lost_changes == 2


async def test_a_store_that_is_away_keeps_nobody_who_has_nothing_to_save() -> None:
    async with cluster() as two:
        a, _ = two.workers
        await a.new(user="ada")
        a.link.is_cut = True
        await until(lambda: a.core.availability.is_down)
        began = two.clock.monotonic()
        assert await a.close(8)
        assert two.clock.monotonic() - began < SECOND


async def test_a_store_that_hangs_does_not_make_the_shutdown_late() -> None:
    async with cluster(save_mode=SaveMode.SHUTDOWN) as two:
        a, _ = two.workers
        for _ in range(300):
            session_id = await a.new()
            await a.patch(session_id, set={"user": "ada"})
        a.link.always = hanging
        began = two.clock.monotonic()
        assert not await a.close(8)
        # Two seconds are kept back for this.
        assert two.clock.monotonic() - began <= 10 * SECOND
        a.link.always = None


async def test_a_session_that_cannot_be_saved_does_not_keep_the_others_from_it() -> None:
    async def too_large(operation: Operation) -> list[Outcome]:
        outcomes: list[Outcome] = await operation()
        return [Outcome.TOO_LARGE for _ in outcomes]

    async with cluster(save_mode=SaveMode.SHUTDOWN) as two:
        a, _ = two.workers
        ids = [await a.new() for _ in range(200)]
        for n, session_id in enumerate(ids):
            await a.patch(session_id, set={"n": n})
        for _ in range(1000):
            a.link.plan("write", too_large, key=a.key_of(ids[0]))
        two.clock.skip(30 * SECOND)
        await a.get(ids[-1])
        assert not await a.close(0)
        unsaved = [n for n, i in enumerate(ids) if not (await two.session(i)).contexts["/"]]
        # What shares a write with it shares its fate here.
        assert len(unsaved) <= 64
        assert (await two.session(ids[-1])).accessed == T0 + 30 * SECOND


async def test_with_invalidate_the_sessions_of_this_worker_end_and_no_others() -> None:
    async with cluster(on_shutdown=OnShutdown.INVALIDATE) as two:
        a, b = two.workers
        mine = [await a.new() for _ in range(100)]
        theirs = await b.new()
        assert await a.close(1)
        for session_id in mine:
            assert (await two.tombstone(session_id)).reason is Reason.SHUTDOWN
            with pytest.raises(SessionEnded):
                await b.get(session_id)
        await b.get(theirs)


@pytest.mark.parametrize("mode", list(SaveMode))
async def test_with_invalidate_a_write_that_is_under_way_saves_no_session(
    mode: SaveMode,
) -> None:
    async with cluster(on_shutdown=OnShutdown.INVALIDATE, save_mode=mode) as two:
        a, _ = two.workers
        ids = [await a.new() for _ in range(400)]
        gates = [Gate() for _ in range(4)]
        for gate in gates:
            a.link.plan("write", gate.before)
        changes = [asyncio.create_task(a.patch(i, increment={"n": 1})) for i in ids]
        await gates[-1].reached.wait()
        closing = asyncio.create_task(a.close(5))
        await asyncio.sleep(0.5)
        for gate in gates:
            gate.open()
        assert await closing
        await asyncio.gather(*changes, return_exceptions=True)
        for session_id in ids:
            await two.tombstone(session_id)


async def test_with_invalidate_a_store_that_is_away_is_tried_again() -> None:
    async with cluster(on_shutdown=OnShutdown.INVALIDATE) as two:
        a, _ = two.workers
        session_id = await a.new()
        a.link.is_cut = True
        closing = asyncio.create_task(a.close(8))
        await asyncio.sleep(3)
        a.link.is_cut = False
        assert await closing
        await two.tombstone(session_id)
