"""Work in the background goes on, whatever becomes of one of its steps."""

import asyncio

import pytest
from moorline_sidecar.sessions.registering import Registering
from moorline_sidecar.stores.registry import Member, Registry

from tests.sidecar.sessions.faults import Operation
from tests.sidecar.sessions.workers import VIRTUAL_TIME, cluster, until

pytestmark = VIRTUAL_TIME


async def cancelled(_operation: Operation) -> None:
    """Something within the driver was cancelled, and nobody asked for that."""
    raise asyncio.CancelledError


@pytest.mark.parametrize("verb", ["now", "watch", "receive"])
async def test_a_cancellation_that_nobody_asked_for_ends_no_work(verb: str) -> None:
    async with cluster(has_stream=True) as two:
        a, _ = two.workers
        a.link.plan(verb, cancelled)
        if verb == "watch":
            a.link.plan("receive", cancelled)
        await asyncio.sleep(30)
        a.link.calls.clear()
        await asyncio.sleep(30)
        assert a.link.calls["now"] > 5
        assert a.link.calls["receive"] > 5


class Broken(Registry):
    def __init__(self) -> None:
        self.beats = 0

    async def beat(self, member: Member) -> None:
        del member
        self.beats += 1
        raise ValueError("something nobody thought of")

    async def members(self, since: int) -> list[Member]:
        del since
        return []

    async def remove(self, process: str) -> None:
        """Nothing is there."""

    async def remove_stale(self, before: int) -> None:
        """Nothing is there."""


async def test_a_registry_that_fails_in_an_unknown_way_ends_nothing() -> None:
    async with cluster() as two:
        registry = Broken()
        stop = asyncio.Event()
        registering = Registering(two.workers[0].core, registry, "pod", "1.0.0")
        task = asyncio.create_task(registering.keep_beating(stop))
        await until(lambda: registry.beats > 2)
        stop.set()
        await task
