"""What a process finds in the file of another, after more than an outage has happened."""

import asyncio
from pathlib import Path

import pytest
from moorline_api import OnShutdown, SaveMode
from moorline_sidecar.domain.ids import hashed_key
from moorline_sidecar.domain.session import Session
from moorline_sidecar.errors import SessionUnknown
from moorline_sidecar.sessions.journal_file import MAGIC, JournalFile
from moorline_sidecar.stores.base import Purge, PurgeKind
from msgspec import structs

from tests.sidecar.sessions.faults import refused, unavailable
from tests.sidecar.sessions.test_journal import Node, replayed
from tests.sidecar.sessions.workers import HOUR, MINUTE, content, cut, until


@pytest.fixture
async def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


async def left_in(node: Node) -> list[bytes]:
    file = JournalFile.open(str(node.folder))
    await file.close()
    return list(file.records)


async def test_the_file_is_kept_until_all_of_it_has_been_taken_over(node: Node) -> None:
    async with node.process() as killed:
        session_id = await killed.new(n=1)
        await cut(killed)
        await killed.patch(session_id, increment={"n": 1})
    async with node.process(is_cut=True) as worker:
        worker.link.plan("load", unavailable, times=1_000)
        worker.link.is_cut = False
        await until(lambda: worker.link.calls["load"] > 1)
        await asyncio.sleep(1)
        assert worker.core.journal.size > len(MAGIC)
    assert len(await left_in(node)) == 1
    async with node.process() as worker:
        await replayed(worker)
        assert content(await worker.get(session_id)) == {"n": 2}


async def test_a_session_that_was_stored_ended_and_purged_is_not_created_again(node: Node) -> None:
    async with node.process() as killed:
        other = await killed.new(n=1)
        await cut(killed)
        session_id = await killed.new(n=1)
        await killed.patch(other, set={"n": 2})
        killed.link.is_cut = False
        # Something keeps the file from being emptied.
        killed.link.plan("write", refused, times=1_000)
        key = hashed_key(session_id)
        await until(lambda: key not in killed.core.journal.creates)
    async with node.process("b") as elsewhere:
        await elsewhere.delete(session_id)
        node.clock.skip(25 * HOUR)
        now = node.clock.now()
        purge = Purge(kind=PurgeKind.INVALID, before=now - 24 * HOUR, now=now)
        assert await node.store.purge(purge, 0) == 1
        async with node.process() as worker:
            await replayed(worker)
            assert await node.store.load([hashed_key(session_id)]) == {}
            with pytest.raises(SessionUnknown):
                await worker.get(session_id)


async def test_a_session_that_never_reached_the_store_is_created_however_late(node: Node) -> None:
    async with node.process() as killed:
        await cut(killed)
        session_id = (await killed.put("a" * 32, set={"n": 1}))[1]
    node.clock.skip(20 * MINUTE)
    async with node.process() as worker:
        await replayed(worker)
        assert content(await worker.get(session_id)) == {"n": 1}


async def test_a_change_counts_as_an_access_for_the_next_process(node: Node) -> None:
    async with node.process() as killed:
        session_id = await killed.new(n=1)
        await cut(killed)
        for _ in range(3):
            node.clock.skip(20 * MINUTE)
            await killed.patch(session_id, increment={"n": 1})
    async with node.process() as worker:
        await replayed(worker)
        assert worker.core.counters.lost_changes == 0
        node.clock.skip(5 * MINUTE)
        assert content(await worker.get(session_id)) == {"n": 4}


async def test_a_shutdown_that_ends_sessions_ends_those_of_the_outage(node: Node) -> None:
    async with node.process() as worker:
        worker.core.policy = structs.replace(worker.policy, on_shutdown=OnShutdown.INVALIDATE)
        ended, kept = await worker.new(n=1), await worker.new(n=1)
        await cut(worker)
        session_id = await worker.new(n=1)
        await worker.patch(kept, set={"n": 2})
        await worker.delete(ended)
        worker.link.is_cut = False
        worker.link.plan("insert", unavailable)
        await until(lambda: not worker.core.availability.is_down)
        assert await worker.close(5)
    assert await left_in(node) == []
    async with node.process() as worker:
        await asyncio.sleep(2)
        records = await node.store.load([hashed_key(i) for i in (session_id, ended, kept)])
        assert not any(isinstance(record, Session) for record in records.values())


@pytest.mark.parametrize("is_kept_by", ["complete", "a change"])
async def test_what_waited_when_the_outage_began_is_kept_with_what_follows(
    node: Node, is_kept_by: str
) -> None:
    async with node.process() as killed:
        killed.core.policy = structs.replace(
            killed.policy, save_mode=SaveMode.COMPLETE, save_period_ms=HOUR
        )
        session_id = await killed.new(n=1)
        await killed.patch(session_id, set={"n": 2, "x": 1})
        await cut(killed)
        if is_kept_by == "complete":
            await killed.done(session_id)
        else:
            await killed.patch(session_id, increment={"n": 1})
    async with node.process() as worker:
        await replayed(worker)
        n = 2 if is_kept_by == "complete" else 3
        assert content(await worker.get(session_id)) == {"n": n, "x": 1}
