"""Each process tells that it is there; nobody minds if that fails."""

import asyncio

import pytest
from moorline_sidecar.errors import StoreUnavailable
from moorline_sidecar.sessions.registering import Registering
from moorline_sidecar.stores.registry import Member, Registry
from msgspec import structs

from tests.sidecar.sessions.workers import VIRTUAL_TIME, Cluster, Worker, cluster, cut

pytestmark = VIRTUAL_TIME


class Entries(Registry):
    """A registry in memory that can fail."""

    def __init__(self) -> None:
        self.members_by_process: dict[str, Member] = {}
        self.fails = False

    async def beat(self, member: Member) -> None:
        self._check()
        self.members_by_process[member.process] = member

    async def members(self, since: int) -> list[Member]:
        self._check()
        return [member for member in self.members_by_process.values() if member.beat >= since]

    async def remove(self, process: str) -> None:
        self._check()
        self.members_by_process.pop(process, None)

    async def remove_stale(self, before: int) -> None:
        self._check()
        for member in list(self.members_by_process.values()):
            if member.beat < before:
                del self.members_by_process[member.process]

    def _check(self) -> None:
        if self.fails:
            raise StoreUnavailable


class Registered:
    """A worker that beats."""

    def __init__(self, worker: Worker, entries: Entries) -> None:
        self.core = worker.core
        self.registering = Registering(worker.core, entries, f"pod-{worker.name}", "1.0.0")
        self.stop = asyncio.Event()
        self.task = asyncio.create_task(self.registering.keep_beating(self.stop))

    async def end(self) -> None:
        self.stop.set()
        await self.task
        await self.registering.leave()

    async def names(self) -> list[str]:
        return [other.worker for other in await self.registering.others()]


def registered(two: Cluster) -> tuple[Entries, Registered, Registered]:
    entries = Entries()
    a, b = (Registered(worker, entries) for worker in two.workers)
    return entries, a, b


async def test_processes_know_of_each_other_until_one_ends() -> None:
    async with cluster() as two:
        entries, a, b = registered(two)
        await asyncio.sleep(20)
        assert (await a.names(), await b.names()) == (["b"], ["a"])
        await b.end()
        assert await a.names() == []
        await a.end()
        assert not entries.members_by_process


async def test_a_process_that_was_killed_is_forgotten_and_removed() -> None:
    async with cluster() as two:
        entries, a, b = registered(two)
        await asyncio.sleep(20)
        b.task.cancel()
        await asyncio.sleep(60)
        assert await a.names() == []
        assert len(entries.members_by_process) == 2
        await asyncio.sleep(600)
        assert len(entries.members_by_process) == 1
        await a.end()


async def test_two_live_processes_of_one_name_are_counted_once() -> None:
    async with cluster("a", "a") as two:
        _, a, b = registered(two)
        await asyncio.sleep(100)
        assert (a.core.counters.shared_names, b.core.counters.shared_names) == (1, 1)
        await a.end()
        await b.end()


async def test_a_process_that_was_replaced_is_no_namesake() -> None:
    async with cluster("a", "a") as two:
        entries = Entries()
        killed = Registered(two.workers[0], entries)
        await asyncio.sleep(20)
        killed.task.cancel()
        successor = Registered(two.workers[1], entries)
        await asyncio.sleep(100)
        assert successor.core.counters.shared_names == 0
        await successor.end()


@pytest.mark.parametrize("is_cut", [True, False], ids=["the store is away", "only the list fails"])
async def test_beats_that_fail_trouble_nobody(*, is_cut: bool) -> None:
    async with cluster() as two:
        entries, a, b = registered(two)
        await asyncio.sleep(20)
        entries.fails = True
        if is_cut:
            await cut(two.workers[0])
        await asyncio.sleep(100)
        assert a.core.availability.is_down is is_cut
        assert await a.names() == []
        entries.fails = False
        two.workers[0].link.heal()
        await asyncio.sleep(20)
        assert await a.names() == ["b"]
        await a.end()
        await b.end()


async def test_without_a_registry_a_process_knows_itself() -> None:
    async with cluster() as two:
        registering = Registering(two.workers[0].core, None, "pod-a", "1.0.0")
        await registering.keep_beating(asyncio.Event())
        await registering.leave()
        member = registering.member()
        assert structs.replace(member, since=0, beat=0, process="") == Member(
            process="",
            worker="a",
            pod="pod-a",
            version="1.0.0",
            since=0,
            beat=0,
            sessions=0,
            unsaved=0,
        )
        assert await registering.others() == []
