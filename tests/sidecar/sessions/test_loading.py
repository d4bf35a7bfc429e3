"""Loads: one at a time for each id; absences are remembered for a second, and no longer."""

import asyncio

import pytest
from moorline_sidecar.domain.ids import Hint, new_id
from moorline_sidecar.errors import SessionUnknown
from moorline_sidecar.sessions.finding import ABSENCES_MAX

from tests.sidecar.sessions.faults import Gate
from tests.sidecar.sessions.workers import VIRTUAL_TIME, Worker, cluster, content

pytestmark = VIRTUAL_TIME


async def assert_unknown(worker: Worker, session_id: str, hint: Hint | None = None) -> None:
    with pytest.raises(SessionUnknown):
        await worker.get(session_id, hint)


async def test_a_stampede_on_a_cold_session_is_two_loads_at_most() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = await a.new(user="ada")
        gate = Gate()
        b.link.plan("load", gate.before)
        first = [asyncio.create_task(b.get(session_id)) for _ in range(50)]
        await gate.reached.wait()
        second = [asyncio.create_task(b.get(session_id)) for _ in range(50)]
        await asyncio.sleep(0.1)
        gate.open()
        for served in await asyncio.gather(*first, *second):
            assert content(served) == {"user": "ada"}
        assert b.link.loaded.count(b.key_of(session_id)) <= 2


async def test_loads_of_many_sessions_share_their_queries() -> None:
    async with cluster() as two:
        a, b = two.workers
        ids = [await a.new(n=n) for n in range(100)]
        for n, served in enumerate(await asyncio.gather(*(b.get(i) for i in ids))):
            assert content(served) == {"n": n}
        assert b.link.calls["load"] <= 4


async def test_a_load_that_was_sent_before_a_change_does_not_answer_its_client() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = await a.new(n=1)
        gate = Gate()
        b.link.plan("load", gate.after)
        early = asyncio.create_task(b.get(session_id))
        await gate.reached.wait()
        served = await a.patch(session_id, set={"n": 2})
        late = asyncio.create_task(b.get(session_id, a.hint_of(served)))
        await asyncio.sleep(0.1)
        gate.open()
        await early
        assert content(await late) == {"n": 2}


async def test_a_load_that_was_overtaken_does_not_bring_an_older_copy_back() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = await b.new(n=1)
        gate = Gate()
        a.link.plan("load", gate.after)
        reading = asyncio.create_task(a.get(session_id))
        await gate.reached.wait()
        change = asyncio.create_task(a.patch(session_id, set={"n": 2}))
        await asyncio.sleep(0.1)
        gate.open()
        await reading
        served = await change
        assert content(await a.get(session_id, a.hint_of(served))) == {"n": 2}


async def test_an_absence_is_remembered_for_a_second() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = new_id()
        await assert_unknown(a, session_id)
        two.clock.skip(999)
        await assert_unknown(a, session_id)
        assert a.link.calls["load"] == 1
        await b.put(session_id, set={"user": "ada"})
        await assert_unknown(a, session_id)
        two.clock.skip(1)
        assert content(await a.get(session_id)) == {"user": "ada"}


async def test_an_absence_is_not_used_against_a_hint() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = new_id()
        await assert_unknown(a, session_id)
        served, _ = await b.put(session_id, set={"user": "ada"})
        assert content(await a.get(session_id, b.hint_of(served))) == {"user": "ada"}


async def test_an_absence_is_forgotten_when_this_worker_creates_the_session() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = new_id()
        await assert_unknown(a, session_id)
        await a.put(session_id, set={"user": "ada"})
        a.evict(session_id)
        assert content(await a.get(session_id)) == {"user": "ada"}


async def test_an_absence_is_forgotten_when_this_worker_renews_to_the_id() -> None:
    async with cluster() as two:
        a, _ = two.workers
        old, new = await a.new(user="ada"), new_id()
        await assert_unknown(a, new)
        await a.renewed(old, new_id=new)
        a.evict(new)
        assert content(await a.get(new)) == {"user": "ada"}


async def test_absences_take_a_bounded_place() -> None:
    async with cluster() as two:
        a, _ = two.workers
        first = new_id()
        await assert_unknown(a, first)
        unknown = [a.get(new_id()) for _ in range(ABSENCES_MAX)]
        await asyncio.gather(*unknown, return_exceptions=True)
        loads = a.link.calls["load"]
        await assert_unknown(a, first)
        assert a.link.calls["load"] == loads + 1


async def test_eviction_never_makes_a_live_session_look_absent() -> None:
    async with cluster(cache_sessions=5) as two:
        a, _ = two.workers
        ids = [await a.new(n=n) for n in range(50)]
        for n, session_id in enumerate(ids):
            assert content(await a.get(session_id, Hint(1, "a"))) == {"n": n}
        assert len(a.core.l1) <= 5


async def test_a_session_that_is_too_large_for_the_cache_is_served_all_the_same() -> None:
    async with cluster(cache_bytes=10_000) as two:
        a, _ = two.workers
        session_id = await a.new(text="x" * 50_000)
        for _ in range(3):
            assert len(content(await a.get(session_id, Hint(1, "a")))["text"]) == 50_000
        served = await a.patch(session_id, set={"n": 1})
        assert content(await a.get(session_id, a.hint_of(served)))["n"] == 1
