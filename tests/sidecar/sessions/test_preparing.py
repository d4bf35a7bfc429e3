"""A store has what it needs before anybody is served from it."""

import asyncio

from moorline_sidecar.errors import StoreRefused
from moorline_sidecar.sessions.preparing import AGAIN_SECONDS, PATIENCE_SECONDS

from tests.sidecar.sessions.faults import Gate, Operation
from tests.sidecar.sessions.workers import SECOND, VIRTUAL_TIME, Cluster, cluster, until

pytestmark = VIRTUAL_TIME


async def refusing(_operation: Operation) -> None:
    """The user may make no tables."""
    raise StoreRefused("no right to create anything")


def about_to_start(gate: Gate) -> Cluster:
    """A cluster of one worker whose tables take as long to make as the test wants."""
    made = Cluster.of("a")
    made.workers[0].link.plan("prepare", gate.before)
    return made


async def test_nobody_is_served_before_the_tables_are_there() -> None:
    gate = Gate()
    one = about_to_start(gate)
    (a,) = one.workers
    starting = asyncio.create_task(a.__aenter__())
    await gate.reached.wait()
    await asyncio.sleep(PATIENCE_SECONDS / 2)
    assert not starting.done()

    gate.open()
    await starting
    await a.close(0)


async def test_an_index_that_takes_long_delays_nobody_for_long() -> None:
    gate = Gate()
    one = about_to_start(gate)
    (a,) = one.workers
    async with a:
        assert one.clock.monotonic() <= PATIENCE_SECONDS * SECOND
        await a.new()
        await asyncio.sleep(100)
        assert a.link.calls["prepare"] == 1, "it is still being made"
        gate.open()
        await asyncio.sleep(100)
        assert a.link.calls["prepare"] == 1, "it is there"


async def test_a_worker_is_ended_while_an_index_is_being_made() -> None:
    gate = Gate()
    one = about_to_start(gate)
    async with one.workers[0]:
        pass
    assert one.clock.monotonic() <= (PATIENCE_SECONDS + 1) * SECOND


async def test_what_could_not_be_made_is_tried_again() -> None:
    one = Cluster.of("a")
    (a,) = one.workers
    a.link.plan("prepare", refusing, times=3)
    async with a:
        assert one.clock.monotonic() < SECOND
        await a.new()
        await asyncio.sleep(AGAIN_SECONDS / 2)
        assert a.link.calls["prepare"] == 1, "not again at once"
        await asyncio.sleep(5 * AGAIN_SECONDS)
        assert a.link.calls["prepare"] == 4


async def test_a_store_that_is_away_at_the_start_is_prepared_before_it_is_used() -> None:
    one = Cluster.of("a")
    (a,) = one.workers
    a.link.is_cut = True
    async with a:
        await asyncio.sleep(6.5 * AGAIN_SECONDS)
        gate = Gate()
        a.link.plan("prepare", gate.before)
        before = a.link.calls["prepare"]
        a.link.is_cut = False
        await gate.reached.wait()
        assert a.core.availability.is_down
        gate.open()
        await until(lambda: not a.core.availability.is_down)
        await asyncio.sleep(5 * AGAIN_SECONDS)
        assert a.link.calls["prepare"] == before + 1, "what has worked is not done again"


async def test_an_outage_of_a_store_that_has_its_tables_makes_them_no_more() -> None:
    async with cluster() as two:
        a, _ = two.workers
        a.link.is_cut = True
        await asyncio.sleep(10)
        a.link.is_cut = False
        await until(lambda: not a.core.availability.is_down)
        assert not a.link.calls["prepare"]
