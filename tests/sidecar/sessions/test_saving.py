"""The save modes: when a change is durable, and what is written through in every mode."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from moorline_api import CacheMode, SaveMode
from moorline_sidecar.domain.differences import changed_attributes
from moorline_sidecar.domain.ids import Hint
from moorline_sidecar.errors import VersionConflict
from moorline_sidecar.stores.base import Change

from tests.sidecar.sessions.workers import (
    HOUR,
    SECOND,
    VIRTUAL_TIME,
    Cluster,
    Worker,
    cluster,
    content,
)

pytestmark = VIRTUAL_TIME

DEFERRING = [SaveMode.COMPLETE, SaveMode.PERIODIC, SaveMode.SHUTDOWN]


async def stored_content(two: Cluster, session_id: str) -> object:
    return dict((await two.session(session_id)).contexts["/"])


async def test_in_write_a_change_is_durable_before_it_is_answered() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = await a.new()
        served = await b.patch(session_id, set={"user": "ada"})
        assert not served.entry.unsaved
        assert await stored_content(two, session_id) == {"user": "ada"}


@pytest.mark.parametrize("mode", DEFERRING)
async def test_in_the_other_modes_a_change_is_answered_as_unsaved_and_seen_here(
    mode: SaveMode,
) -> None:
    async with cluster(save_mode=mode) as two:
        a, _ = two.workers
        session_id = await a.new()
        served = await a.patch(session_id, set={"user": "ada"})
        assert served.entry.unsaved
        assert served.entry.stored.version == 1
        assert a.unsaved == 1
        assert await stored_content(two, session_id) == {}
        for hint in (None, Hint(1, "a"), Hint(1, "b")):
            assert content(await a.get(session_id, hint)) == {"user": "ada"}


@pytest.mark.parametrize("mode", DEFERRING)
async def test_without_an_l1_every_mode_is_write(mode: SaveMode) -> None:
    async with cluster(save_mode=mode, cache_mode=CacheMode.DISABLED) as two:
        a, b = two.workers
        session_id = await a.new()
        assert not (await a.patch(session_id, set={"user": "ada"})).entry.unsaved
        assert content(await b.get(session_id)) == {"user": "ada"}


async def test_complete_saves_all_pending_changes_in_one_write() -> None:
    async with cluster(save_mode=SaveMode.COMPLETE) as two:
        a, b = two.workers
        session_id = await a.new()
        for n in range(5):
            await a.patch(session_id, set={f"n{n}": n})
        served = await a.done(session_id, set={"last": True})
        assert not served.entry.unsaved
        assert served.entry.stored.version == 2
        assert a.link.calls["write"] == 1
        assert not a.unsaved
        expected = {f"n{n}": n for n in range(5)} | {"last": True}
        assert content(await b.get(session_id, a.hint_of(served))) == expected


@pytest.mark.parametrize("mode", [SaveMode.PERIODIC, SaveMode.SHUTDOWN])
async def test_in_periodic_and_shutdown_complete_saves_nothing(mode: SaveMode) -> None:
    async with cluster(save_mode=mode) as two:
        a, _ = two.workers
        session_id = await a.new()
        await a.patch(session_id, set={"user": "ada"})
        assert (await a.done(session_id)).entry.unsaved
        assert await stored_content(two, session_id) == {}


@pytest.mark.parametrize("mode", [SaveMode.COMPLETE, SaveMode.PERIODIC])
async def test_a_change_is_saved_at_the_latest_a_period_after_the_first(mode: SaveMode) -> None:
    async with cluster(save_mode=mode, save_period_ms=5 * SECOND) as two:
        a, _ = two.workers
        session_id = await a.new()
        for n in range(10):
            await a.patch(session_id, set={"n": n})
            await asyncio.sleep(0.45)
        assert await stored_content(two, session_id) == {}
        await asyncio.sleep(0.7)
        assert await stored_content(two, session_id) == {"n": 9}
        assert a.link.calls["write"] == 1


async def test_in_shutdown_nothing_is_saved_while_there_is_room() -> None:
    async with cluster(save_mode=SaveMode.SHUTDOWN, max_idle_ms=0) as two:
        a, _ = two.workers
        session_id = await a.new()
        await a.patch(session_id, set={"user": "ada"})
        two.clock.skip(HOUR)
        await asyncio.sleep(5)
        assert await stored_content(two, session_id) == {}


Call = Callable[[Worker, str], Awaitable[object]]
WRITTEN_THROUGH: dict[str, Call] = {
    "increment": lambda worker, session_id: worker.patch(session_id, increment={"n": 1}),
    "principal": lambda worker, session_id: worker.patch(session_id, principal="ada"),
    "life span": lambda worker, session_id: worker.patch(session_id, max_idle_ms=HOUR),
    "with complete": lambda worker, session_id: worker.done(session_id, increment={"n": 1}),
}


@pytest.mark.parametrize("mode", DEFERRING)
@pytest.mark.parametrize("call", WRITTEN_THROUGH.values(), ids=WRITTEN_THROUGH)
async def test_what_is_written_through_takes_what_is_pending_with_it(
    call: Call, mode: SaveMode
) -> None:
    async with cluster(save_mode=mode) as two:
        a, _ = two.workers
        session_id = await a.new()
        await a.patch(session_id, set={"user": "ada"})
        await call(a, session_id)
        session = await two.session(session_id)
        assert session.contexts["/"]["user"] == "ada"
        entry = a.copy_of(session_id)
        assert entry is not None
        assert not entry.unsaved


@pytest.mark.parametrize("mode", DEFERRING)
async def test_a_change_that_names_a_version_is_written_through(mode: SaveMode) -> None:
    async with cluster(save_mode=mode) as two:
        a, _ = two.workers
        session_id = await a.new()
        assert not (await a.patch(session_id, if_match=1, set={"n": 1})).entry.unsaved
        assert await stored_content(two, session_id) == {"n": 1}


@pytest.mark.parametrize("mode", DEFERRING)
async def test_pending_changes_make_another_version(mode: SaveMode) -> None:
    async with cluster(save_mode=mode) as two:
        a, _ = two.workers
        session_id = await a.new(n=0)
        await a.patch(session_id, set={"n": 1})
        with pytest.raises(VersionConflict):
            await a.patch(session_id, if_match=1, set={"n": 2})
        assert content(await a.get(session_id)) == {"n": 1}


@pytest.mark.parametrize("mode", DEFERRING)
async def test_if_match_is_judged_by_the_stored_version_also_with_changes_pending(
    mode: SaveMode,
) -> None:
    async with cluster(save_mode=mode) as two:
        a, b = two.workers
        session_id = await a.new()
        await a.patch(session_id, set={"user": "ada"})
        await b.patch(session_id, increment={"n": 1})
        with pytest.raises(VersionConflict):
            await a.patch(session_id, if_match=1, set={"n": 0})
        assert content(await a.get(session_id)) == {"user": "ada", "n": 1}


@pytest.mark.parametrize("mode", DEFERRING)
async def test_many_unsaved_changes_with_keys_are_all_saved(mode: SaveMode) -> None:
    async with cluster(save_mode=mode) as two:
        a, _ = two.workers
        session_id = await a.new()
        for n in range(40):
            await a.patch(session_id, key=f"key-{n}", set={f"n{n}": n})
        expected = {f"n{n}": n for n in range(40)}
        assert content(await a.get(session_id)) == expected
        assert await a.close(1)
        assert await stored_content(two, session_id) == expected


async def test_of_what_was_saved_only_the_changes_were_written() -> None:
    async with cluster(save_mode=SaveMode.PERIODIC) as two:
        a, _ = two.workers
        session_id = await a.new(user="ada", cart=0)
        await a.patch(session_id, set={"cart": 1})
        await asyncio.sleep(6)
        (write,) = a.link.written
        assert isinstance(write, Change)
        (change,) = changed_attributes(write.before, write.after)
        assert (change.name, change.value) == ("cart", 1)
