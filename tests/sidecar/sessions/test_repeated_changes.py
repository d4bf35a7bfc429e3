"""A change repeated under its key is applied once, on any worker, and is an access each time."""

import asyncio

from tests.sidecar.sessions.workers import MINUTE, T0, VIRTUAL_TIME, Cluster, cluster, content

pytestmark = VIRTUAL_TIME


async def counted(two: Cluster, session_id: str) -> object:
    return (await two.session(session_id)).contexts["/"].get("n", 0)


async def test_a_repeated_request_is_applied_once_on_whatever_workers() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = await a.new()
        await b.get(session_id)
        for worker in (a, b, a, b):
            served = await worker.patch(session_id, key="once", increment={"n": 1})
            assert content(served) == {"n": 1}
        assert (await two.session(session_id)).version == 2


async def test_a_request_repeated_on_both_workers_at_once_is_applied_once() -> None:
    async with cluster() as two:
        session_id = await two.workers[0].new()
        await asyncio.gather(
            *(
                two.workers[n % 2].patch(session_id, key=f"key-{n // 4}", increment={"n": 1})
                for n in range(40)
            )
        )
        assert await counted(two, session_id) == 10


async def test_a_session_remembers_its_last_sixteen_keys() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = await a.new()
        for n in range(16):
            await a.patch(session_id, key=f"key-{n}", increment={"n": 1})
        for n in range(16):
            await b.patch(session_id, key=f"key-{n}", increment={"n": 1})
        assert await counted(two, session_id) == 16
        assert len((await two.session(session_id)).recent) == 16


async def test_more_than_sixteen_keys_at_once_are_all_remembered_in_their_turn() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new()
        calls = [a.patch(session_id, key=f"key-{n}", increment={"n": 1}) for n in range(50)]
        await asyncio.gather(*calls)
        assert await counted(two, session_id) == 50


async def test_the_answer_to_a_repeated_request_is_not_older_than_its_hint() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = await a.new()
        await a.patch(session_id, key="once", increment={"n": 1})
        served = await b.patch(session_id, set={"user": "ada"})
        again = await a.patch(session_id, b.hint_of(served), key="once", increment={"n": 1})
        assert again.entry.stored.version >= served.entry.stored.version
        assert content(again) == {"n": 1, "user": "ada"}


async def test_a_repeated_request_is_an_access() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new()
        await a.patch(session_id, key="once", increment={"n": 1})
        two.clock.skip(MINUTE)
        served = await a.patch(session_id, key="once", increment={"n": 1})
        assert served.entry.times.own_accessed == T0 + MINUTE
