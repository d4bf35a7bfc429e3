"""A process that is killed in an outage, and the next one, which has its file."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from moorline_api import OnOutage
from moorline_sidecar.domain.policies import Policy
from moorline_sidecar.errors import Overloaded, SessionEnded, StoreUnavailable
from moorline_sidecar.sessions.journal import Journal
from moorline_sidecar.sessions.journal_file import JournalFile
from moorline_sidecar.stores.memory import MemoryStore
from msgspec import structs

from tests.sidecar.sessions.faults import Link, answer_lost, unavailable
from tests.sidecar.sessions.workers import LoopClock, Worker, content, cut, until


class Node:
    """A store, a folder, and processes that use them one after the other."""

    def __init__(self, folder: Path) -> None:
        self.clock = LoopClock()
        self.store = MemoryStore(self.clock.now)
        self.folder = folder

    @asynccontextmanager
    async def process(self, name: str = "a", *, is_cut: bool = False) -> AsyncIterator[Worker]:
        """One that saves nothing at its end: killed."""
        journal = Journal(JournalFile.open(str(self.folder)) if name == "a" else None)
        policy = Policy(worker=name, on_outage=OnOutage.BUFFER)
        worker = Worker(Link(self.store), policy, self.clock, journal)
        worker.link.is_cut = is_cut
        async with worker:
            await asyncio.sleep(0)
            yield worker
            worker.link.is_cut = True


@pytest.fixture
async def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


async def replayed(worker: Worker) -> None:
    worker.link.heal()
    journal = worker.core.journal
    await until(lambda: not worker.core.availability.is_down)
    await until(lambda: not (journal.keys or journal.creates or journal.ends))
    await until(lambda: journal.size < 32)


async def test_the_next_process_brings_everything_to_the_store(node: Node) -> None:
    async with node.process() as killed:
        changed, ended = await killed.new(n=1), await killed.new()
        await cut(killed)
        await killed.patch(changed, set={"x": 1.0, "big": 2**62}, increment={"n": 1})
        await killed.patch(changed, increment={"n": 1}, unset=("x",))
        await killed.delete(ended)
        created = await killed.new(name="ä")
        await killed.patch(created, set={"more": [None]})
        brief = await killed.new()
        await killed.delete(brief)
    async with node.process() as worker, node.process("b") as other:
        await replayed(worker)
        assert content(await other.get(changed)) == {"n": 3, "big": 2**62}
        assert content(await other.get(created)) == {"name": "ä", "more": [None]}
        with pytest.raises(SessionEnded):
            await other.get(ended)
        with pytest.raises(SessionEnded):
            await other.get(brief)
        assert worker.core.counters.lost_changes == 0


async def test_nobody_is_served_before_what_was_left_behind_is_here(node: Node) -> None:
    async with node.process() as killed:
        session_id = await killed.new(n=1)
        await cut(killed)
        await killed.patch(session_id, increment={"n": 1})
    async with node.process(is_cut=True) as worker:
        with pytest.raises(StoreUnavailable):
            await worker.get(session_id)
        worker.link.plan("write", unavailable, times=5)
        worker.link.is_cut = False
        await until(lambda: not worker.core.availability.is_down)
        assert content(await worker.get(session_id)) == {"n": 2}
        await replayed(worker)


async def test_what_was_stored_before_the_crash_is_not_applied_again(node: Node) -> None:
    async with node.process() as killed:
        session_id = await killed.new(n=1, text="")
        await cut(killed)
        await killed.patch(session_id, increment={"n": 1}, set={"text": "kept"})
        killed.link.heal()
        killed.link.plan("write", answer_lost)
        await until(lambda: killed.core.counters.unknown_outcomes == 1)
        killed.link.is_cut = True
    async with node.process("b") as other:
        await other.patch(session_id, set={"text": "later"})
        async with node.process() as worker:
            await replayed(worker)
        assert content(await other.get(session_id)) == {"n": 2, "text": "later"}


async def test_what_ended_meanwhile_stays_ended(node: Node) -> None:
    async with node.process() as killed:
        session_id = await killed.new(n=1)
        await cut(killed)
        await killed.patch(session_id, set={"n": 2})
    async with node.process("b") as other, node.process(is_cut=True) as worker:
        await other.delete(session_id)
        await replayed(worker)
        with pytest.raises(SessionEnded):
            await worker.get(session_id)
        assert worker.core.counters.lost_changes == 1


async def test_a_crash_of_the_next_process_loses_nothing_either(node: Node) -> None:
    async with node.process() as killed:
        session_id = await killed.new(n=0)
        await cut(killed)
        await killed.patch(session_id, increment={"n": 1})
    for _ in range(3):
        async with node.process(is_cut=True) as worker:
            await asyncio.sleep(0)
    async with node.process() as worker:
        worker.link.plan("write", unavailable, times=1000)
        await until(lambda: not worker.core.availability.is_down)
        await cut(worker)
        await worker.patch(session_id, increment={"n": 1})
    async with node.process() as worker:
        await replayed(worker)
        assert content(await worker.get(session_id)) == {"n": 2}


async def test_no_room_in_the_file_refuses_and_counts(node: Node) -> None:
    async with node.process() as worker:
        session_id = await worker.new(n=0)
        await cut(worker)
        worker.core.policy = structs.replace(worker.policy, cache_bytes=500)
        await worker.patch(session_id, set={"text": "fits"})
        with pytest.raises(Overloaded, match="room"):
            await worker.patch(session_id, set={"text": "no"})
        assert worker.core.counters.journal_refusals == 1
        assert content(await worker.get(session_id)) == {"n": 0, "text": "fits"}


async def test_what_is_in_the_file_is_not_lost_where_a_process_ends(node: Node) -> None:
    async with node.process() as worker:
        changed, ended = await worker.new(), await worker.new()
        await cut(worker)
        await worker.patch(changed, set={"x": 1})
        await worker.delete(ended)
        await worker.new()
        assert await worker.close(1)
        assert worker.core.counters.lost_changes == 0


async def test_a_record_of_a_later_version_is_passed_over(node: Node) -> None:
    file = JournalFile.open(str(node.folder))
    await file.append(json.dumps({"type": "unheard-of"}).encode())
    await file.close()
    async with node.process() as worker:
        await replayed(worker)
        await worker.new()
