"""Concurrent changes: they merge, nothing is lost, and what is guarded has one winner."""

import asyncio

import pytest
from moorline_api import CacheMode
from moorline_sidecar.cache.entry import Entry
from moorline_sidecar.domain.ids import Hint
from moorline_sidecar.errors import InvalidValue, SessionEnded, TooLarge, VersionConflict

from tests.sidecar.sessions.faults import Gate, Operation
from tests.sidecar.sessions.workers import MINUTE, T0, VIRTUAL_TIME, Cluster, cluster, content

pytestmark = VIRTUAL_TIME


async def stored_content(two: Cluster, session_id: str) -> object:
    return dict((await two.session(session_id)).contexts["/"])


@pytest.mark.parametrize("mode", list(CacheMode))
async def test_changes_to_different_attributes_merge_whatever_worker_makes_them(
    mode: CacheMode,
) -> None:
    async with cluster(cache_mode=mode) as two:
        session_id = await two.workers[0].new()
        await asyncio.gather(
            *(two.workers[n % 2].patch(session_id, set={f"n{n}": n}) for n in range(40))
        )
        assert await stored_content(two, session_id) == {f"n{n}": n for n in range(40)}


async def test_changes_to_different_contexts_merge() -> None:
    async with cluster() as two:
        session_id = await two.workers[0].new(user="ada")
        await asyncio.gather(
            *(
                two.workers[n % 2].patch(session_id, context=f"/{n % 4}", set={f"n{n}": n})
                for n in range(16)
            )
        )
        contexts = (await two.session(session_id)).contexts
        assert contexts["/"] == {"user": "ada"}
        for place in range(4):
            names = {f"n{n}" for n in range(16) if n % 4 == place}
            assert set(contexts[f"/{place}"]) == names


async def test_on_the_same_attribute_the_last_change_wins() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = await a.new()
        for n in range(6):
            await (a, b)[n % 2].patch(session_id, Hint(1, "ab"[n % 2]), set={"n": n})
        assert await stored_content(two, session_id) == {"n": 5}


async def test_replacing_a_context_drops_its_other_attributes_and_no_other_context() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = await a.new(user="ada", cart=1)
        await b.patch(session_id, context="/admin", set={"role": 1})
        await b.patch(session_id, replace={"user": "bob"})
        contexts = (await two.session(session_id)).contexts
        assert contexts == {"/": {"user": "bob"}, "/admin": {"role": 1}}
        assert content(await a.get(session_id)) == {"user": "bob"}


async def test_what_queues_up_while_a_write_is_under_way_becomes_one_write() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new()
        gate = Gate()
        a.link.plan("write", gate.before)
        first = asyncio.create_task(a.patch(session_id, set={"first": 1}))
        await gate.reached.wait()
        rest = [asyncio.create_task(a.patch(session_id, set={f"n{n}": n})) for n in range(30)]
        await asyncio.sleep(0.1)
        assert a.link.calls["write"] == 1
        gate.open()
        assert (await first).entry.stored.version >= 2
        for served in await asyncio.gather(*rest):
            assert served.entry.stored.version == 3
        assert a.link.calls["write"] == 2


async def test_a_refused_change_leaves_those_alone_that_share_its_write() -> None:
    async with cluster(max_session_bytes=200) as two:
        a, _ = two.workers
        session_id = await a.new(text="x")
        results = await asyncio.gather(
            a.patch(session_id, set={"one": 1}),
            a.patch(session_id, set={"big": "x" * 300}),
            a.patch(session_id, increment={"text": 1}),
            a.patch(session_id, set={"two": 2}),
            return_exceptions=True,
        )
        assert isinstance(results[1], TooLarge)
        assert isinstance(results[2], InvalidValue)
        assert await stored_content(two, session_id) == {"text": "x", "one": 1, "two": 2}


async def test_increments_on_two_workers_lose_nothing() -> None:
    async with cluster() as two:
        session_id = await two.workers[0].new()

        async def client(number: int) -> None:
            for n in range(25):
                changes = {"n": 1, f"client-{number}": n + 1}
                await two.workers[number % 2].patch(session_id, increment=changes)

        await asyncio.gather(*(client(number) for number in range(16)))
        stored = (await two.session(session_id)).contexts["/"]
        assert stored["n"] == 16 * 25
        assert all(stored[f"client-{number}"] == 25 * 13 for number in range(16))


async def test_of_many_changes_that_name_one_version_exactly_one_wins() -> None:
    async with cluster() as two:
        session_id = await two.workers[0].new()
        results = await asyncio.gather(
            *(two.workers[n % 2].patch(session_id, if_match=1, set={"n": n}) for n in range(50)),
            return_exceptions=True,
        )
        losers = [result for result in results if isinstance(result, VersionConflict)]
        assert len(losers) == 49
        (winner,) = (n for n, result in enumerate(results) if not isinstance(result, Exception))
        assert await stored_content(two, session_id) == {"n": winner}
        assert (await two.session(session_id)).version == 2


async def test_a_conflict_shows_the_session_as_it_is() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = await a.new()
        await b.patch(session_id, set={"user": "ada"})
        with pytest.raises(VersionConflict) as conflict:
            await a.patch(session_id, Hint(1, "a"), if_match=1, set={"user": "eve"})
        current = conflict.value.current
        assert isinstance(current, Entry)
        assert current.stored.version == 2


async def test_a_version_is_judged_by_what_is_stored_not_by_a_stale_copy() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = await a.new()
        await b.patch(session_id, set={"user": "ada"})
        served = await a.patch(session_id, Hint(1, "a"), if_match=2, set={"cart": 1})
        assert served.entry.stored.version == 3


async def test_an_empty_change_judges_its_version_by_what_is_stored() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = await a.new()
        await b.patch(session_id, set={"user": "ada"})
        with pytest.raises(VersionConflict):
            await a.patch(session_id, Hint(1, "a"), if_match=1)


async def test_an_empty_change_writes_nothing_and_is_an_access() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new()
        two.clock.skip(MINUTE)
        served = await a.patch(session_id)
        assert served.entry.stored.version == 1
        assert served.entry.times.own_accessed == T0 + MINUTE
        assert not a.link.calls["write"]


async def test_an_empty_change_that_names_a_version_is_an_access_too() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new()
        two.clock.skip(MINUTE)
        served = await a.patch(session_id, if_match=1)
        assert served.entry.times.own_accessed == T0 + MINUTE


async def test_the_version_grows_by_one_with_every_write() -> None:
    async with cluster() as two:
        session_id = await two.workers[0].new()
        for n in range(2, 12):
            served = await two.workers[n % 2].patch(session_id, set={"n": n})
            assert served.entry.stored.version == n
            assert (await two.session(session_id)).version == n


async def test_a_change_whose_caller_went_away_lends_its_outcome_to_nobody() -> None:
    async with cluster() as two:
        a, _ = two.workers
        others = [await a.new() for _ in range(4)]
        session_id = await a.new()
        gates = [Gate() for _ in others]
        changes = []
        for other, gate in zip(others, gates, strict=True):
            a.link.plan("write", gate.before)
            changes.append(asyncio.create_task(a.patch(other, set={"n": 1})))
            await gate.reached.wait()
        gone = asyncio.create_task(a.patch(session_id, set={"gone": 1}))
        await asyncio.sleep(0.1)
        gone.cancel()
        change = asyncio.create_task(a.patch(session_id, set={"mine": 1}))
        await asyncio.sleep(0.1)
        for gate in gates:
            gate.open()
        await asyncio.gather(*changes)
        await change
        assert (await two.session(session_id)).contexts["/"]["mine"] == 1


async def test_a_conflict_with_a_slow_store_ends_in_time() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = await a.new()

        async def overtaken(operation: Operation) -> object:
            await b.patch(session_id, increment={"n": 1})
            await asyncio.sleep(0.05)
            return await operation()

        a.link.plan("write", overtaken, times=20)
        await a.patch(session_id, set={"mine": 1})
        assert await stored_content(two, session_id) == {"n": 20, "mine": 1}


async def test_a_change_that_is_overtaken_by_an_end_is_answered() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = await a.new()
        gate = Gate()
        a.link.plan("write", gate.after)
        change = asyncio.create_task(a.patch(session_id, set={"n": 1}))
        await gate.reached.wait()
        await b.delete(session_id)
        with pytest.raises(SessionEnded):
            await a.get(session_id)
        gate.open()
        try:
            assert content(await change) == {"n": 1}
        except SessionEnded:
            await two.tombstone(session_id)
