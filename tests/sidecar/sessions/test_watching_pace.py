"""How often a stream is asked."""

import asyncio

from moorline_sidecar.domain.ids import Hint
from moorline_sidecar.sessions.finding import Source
from moorline_sidecar.sessions.watching import GATHER_SECONDS, PATIENCE_SECONDS
from moorline_sidecar.stores.base import Heard

from tests.sidecar.sessions.faults import Operation
from tests.sidecar.sessions.workers import (
    VIRTUAL_TIME,
    caught_up,
    cluster,
    content,
    cut,
    is_live,
    questions,
)

pytestmark = VIRTUAL_TIME

ELSEWHERE = Hint(1, "b")


async def test_many_changes_are_told_by_few_replies() -> None:
    async with cluster(has_stream=True) as two:
        a, b = two.workers
        session_id = await a.new(n=0)
        await caught_up(two)
        a.link.calls.clear()
        for n in range(100):
            await b.patch(session_id, set={"n": n})
            await asyncio.sleep(GATHER_SECONDS / 10)
        await caught_up(two)
        assert a.link.calls["receive"] <= 20
        assert content(await a.get(session_id, Hint(1, "a"))) == {"n": 99}


async def nothing_to_tell(_operation: Operation) -> Heard:
    """A reply at once, as some servers send it for each access that is written."""
    return Heard(seen=[], token=None, complete_until=None)


async def test_replies_that_tell_nothing_are_not_asked_for_in_a_loop() -> None:
    async with cluster(has_stream=True) as two:
        a, b = two.workers
        session_id = await a.new(n=1)
        a.link.plan("receive", nothing_to_tell, times=100)
        began = a.link.calls["receive"]
        await asyncio.sleep(2)
        assert a.link.calls["receive"] - began < 3 / PATIENCE_SECONDS
        a.link.heal()
        await b.patch(session_id, set={"n": 2})
        await asyncio.sleep(2 * PATIENCE_SECONDS)
        assert content(await a.get(session_id, Hint(1, "a"))) == {"n": 2}


async def test_own_writes_cost_no_question() -> None:
    async with cluster(has_stream=True) as two:
        a, _ = two.workers
        session_id = await a.new(n=0)
        for n in range(1, 4):
            await a.patch(session_id, set={"n": n})
            await caught_up(two)
            served = await a.get(session_id, Hint(n, "b"))
            assert (served.source, content(served)) == (Source.HIT, {"n": n})
        assert not questions(a)


async def test_a_store_that_is_away_is_not_asked_in_a_loop() -> None:
    async with cluster(has_stream=True) as two:
        a, _ = two.workers
        await cut(a)
        a.link.calls.clear()
        await asyncio.sleep(60)
        assert 15 < a.link.calls["watch"] < 80


async def test_a_server_without_streams_is_asked_again_once_in_a_while() -> None:
    async with cluster() as two:
        a, _ = two.workers
        await asyncio.sleep(1)
        a.link.has_stream = True
        await asyncio.sleep(100)
        assert is_live(a)
