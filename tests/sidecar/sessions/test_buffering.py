"""`onOutage: Buffer`: what is changed while the store is away is served here, and stored later."""

import asyncio

import pytest
from moorline_api import CacheMode, OnOutage, SaveMode
from moorline_sidecar.domain.ids import Hint, new_id
from moorline_sidecar.domain.session import Reason
from moorline_sidecar.errors import (
    AlreadyExists,
    MoorlineError,
    OutcomeUnknown,
    Overloaded,
    SessionEnded,
    StoreUnavailable,
)

from tests.sidecar.sessions.faults import Gate, answer_lost, request_lost, unavailable
from tests.sidecar.sessions.workers import (
    MINUTE,
    VIRTUAL_TIME,
    Changes,
    Worker,
    asked,
    back,
    cluster,
    content,
    cut,
    until,
)

pytestmark = VIRTUAL_TIME

BUFFER = OnOutage.BUFFER


async def mend(worker: Worker) -> None:
    """Let the store be in reach again, and wait until it has all that was kept."""
    await back(worker)
    journal = worker.core.journal
    await until(lambda: not (journal.keys or journal.creates or journal.ends))


@pytest.mark.parametrize("mode", list(SaveMode))
async def test_changes_are_served_at_once_and_stored_when_the_store_is_back(mode: SaveMode) -> None:
    async with cluster(on_outage=BUFFER, save_mode=mode) as two:
        a, b = two.workers
        session_id = await a.new(user="ada", n=1)
        await cut(a)
        served = await a.patch(session_id, set={"cart": [1]}, unset=("user",))
        assert not served.entry.is_evictable
        await a.patch(session_id, increment={"n": 2})
        await a.patch(session_id, increment={"n": 3})
        assert content(await a.get(session_id)) == {"cart": [1], "n": 6}
        assert (await two.session(session_id)).version == 1

        await mend(a)
        assert content(await b.get(session_id)) == {"cart": [1], "n": 6}
        assert (await two.session(session_id)).version == 2
        assert (await a.get(session_id)).entry.is_evictable
        assert a.core.counters.kept_changes == 3
        assert a.core.counters.replay_conflicts == 0


@pytest.mark.parametrize("fault", [unavailable, request_lost, answer_lost])
async def test_the_change_that_meets_the_outage_is_kept_and_applied_once(
    fault: object,
) -> None:
    async with cluster(on_outage=BUFFER) as two:
        a, b = two.workers
        session_id = await a.new(n=0)
        a.link.plan("write", fault)  # type: ignore[arg-type]
        a.link.plan("now", unavailable, times=20)
        for n in (1, 2, 3):
            assert content(await a.patch(session_id, increment={"n": 1})) == {"n": n}
        await mend(a)
        assert content(await b.get(session_id)) == {"n": 3}


@pytest.mark.parametrize("fault", [request_lost, answer_lost])
async def test_a_lost_answer_while_kept_changes_are_stored_doubles_nothing(fault: object) -> None:
    async with cluster(on_outage=BUFFER) as two:
        a, b = two.workers
        session_id = await a.new(n=0, text="a")
        await cut(a)
        await a.patch(session_id, increment={"n": 1}, set={"text": "b"})
        a.link.heal()
        a.link.plan("write", fault)  # type: ignore[arg-type]
        a.link.plan("write", unavailable, times=300)
        await asyncio.sleep(5)
        await b.patch(session_id, set={"text": "c"})
        await a.patch(session_id, increment={"n": 10})
        await mend(a)
        assert content(await b.get(session_id))["n"] == 11
        expected = "c" if fault is answer_lost else "b"
        assert content(await b.get(session_id))["text"] == expected


async def test_other_attributes_merge_and_of_the_same_one_the_kept_value_comes_last() -> None:
    async with cluster(on_outage=BUFFER) as two:
        a, b = two.workers
        session_id = await a.new(same=0, n=0)
        await cut(a)
        await a.patch(session_id, set={"same": "a", "mine": 1}, increment={"n": 1})
        await b.patch(session_id, set={"same": "b", "theirs": 2}, increment={"n": 1})
        await mend(a)
        assert content(await b.get(session_id)) == {"same": "a", "mine": 1, "theirs": 2, "n": 2}
        assert a.core.counters.replay_conflicts == 1
        assert a.core.counters.lost_changes == 0


async def test_an_increment_of_what_is_no_number_any_more_leaves_the_rest() -> None:
    async with cluster(on_outage=BUFFER) as two:
        a, b = two.workers
        session_id = await a.new(n=0)
        await cut(a)
        await a.patch(session_id, increment={"n": 1}, set={"x": 1})
        await b.patch(session_id, set={"n": "text"})
        await mend(a)
        assert content(await b.get(session_id)) == {"n": "text", "x": 1}
        assert a.core.counters.replay_conflicts == 1


async def test_what_has_ended_elsewhere_stays_ended() -> None:
    async with cluster(on_outage=BUFFER) as two:
        a, b = two.workers
        session_id = await a.new()
        await cut(a)
        await a.patch(session_id, set={"x": 1})
        await b.delete(session_id)
        await mend(a)
        assert (await two.tombstone(session_id)).reason is Reason.LOGOUT
        with pytest.raises(SessionEnded):
            await a.get(session_id)
        assert a.core.counters.lost_changes == 1


async def test_an_end_holds_here_at_once_and_everywhere_when_the_store_is_back() -> None:
    async with cluster(on_outage=BUFFER) as two:
        a, b = two.workers
        session_id = await a.new()
        await cut(a)
        await a.patch(session_id, set={"x": 1})
        assert await a.delete(session_id)
        assert not await a.delete(session_id)
        with pytest.raises(SessionEnded):
            await a.get(session_id)
        await b.patch(session_id, set={"y": 1})
        await mend(a)
        await two.tombstone(session_id)
        with pytest.raises(SessionEnded):
            await b.patch(session_id, set={"y": 2})


async def test_an_end_is_written_before_anybody_else_may_ask_the_store() -> None:
    async with cluster(on_outage=BUFFER) as two:
        a, _ = two.workers
        session_id = await a.new()
        await cut(a)
        await a.delete(session_id)
        a.evict(session_id)
        with pytest.raises(StoreUnavailable):
            await a.get(session_id)
        await back(a)
        with pytest.raises(SessionEnded):
            await a.get(session_id)


async def test_the_end_of_a_session_that_was_renewed_meanwhile_ends_its_successor() -> None:
    async with cluster(on_outage=BUFFER) as two:
        a, b = two.workers
        session_id = await a.new()
        await cut(a)
        await a.delete(session_id)
        _, new_session_id = await b.renewed(session_id)
        await mend(a)
        await two.tombstone(new_session_id)


async def test_a_session_created_in_the_outage_is_stored_with_its_changes() -> None:
    async with cluster(on_outage=BUFFER) as two:
        a, b = two.workers
        await cut(a)
        session_id = await a.new(n=1)
        await a.patch(session_id, increment={"n": 1})
        await asyncio.sleep(60)
        await a.get(session_id, Hint(1, "a"))
        await mend(a)
        assert content(await b.get(session_id)) == {"n": 2}
        assert a.core.counters.created == 1


@pytest.mark.parametrize("fault", [request_lost, answer_lost])
async def test_a_create_that_meets_the_outage_happens_once(fault: object) -> None:
    async with cluster(on_outage=BUFFER) as two:
        a, b = two.workers
        a.link.plan("insert", fault)  # type: ignore[arg-type]
        a.link.plan("now", unavailable, times=5)
        session_id = await a.new(n=1)
        await b.core.load("nobody")
        await a.patch(session_id, increment={"n": 1})
        await mend(a)
        assert content(await b.get(session_id)) == {"n": 2}


async def test_a_session_created_and_ended_in_the_outage_leaves_a_tombstone() -> None:
    """Else a create that is still on its way would bring it to life."""
    async with cluster(on_outage=BUFFER) as two:
        a, _ = two.workers
        gate = Gate()
        a.link.plan("insert", gate.late)
        a.link.plan("now", unavailable, times=3)
        session_id = await a.new()
        await a.delete(session_id)
        await mend(a)
        with pytest.raises(AlreadyExists):
            await gate.land()
        await two.tombstone(session_id)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"if_match": 1, "set": {"a": 1}}, id="If-Match"),
        pytest.param({"principal": "ada"}, id="principal"),
        pytest.param({"max_idle_ms": MINUTE}, id="maxIdle"),
    ],
)
async def test_what_only_the_store_can_decide_is_refused(changes: Changes) -> None:
    async with cluster(on_outage=BUFFER) as two:
        a, b = two.workers
        session_id, elsewhere = await a.new(), await b.new()
        await cut(a)
        calls = (
            a.patch(session_id, **changes),
            a.renewed(session_id),
            a.patch(elsewhere, set={"a": 1}),
            a.delete(elsewhere),
            a.create(new_id(), asked(principal="ada")),
            a.create(new_id(), asked(), remembered=False),
        )
        for call in calls:
            with pytest.raises(StoreUnavailable):
                await call


async def test_without_a_cache_changes_are_refused() -> None:
    async with cluster(on_outage=BUFFER, cache_mode=CacheMode.DISABLED) as two:
        a, _ = two.workers
        session_id = await a.new()
        await cut(a)
        with pytest.raises(StoreUnavailable):
            await a.patch(session_id, set={"a": 1})


async def test_a_change_is_not_kept_below_what_the_client_has_seen() -> None:
    async with cluster(on_outage=BUFFER) as two:
        a, b = two.workers
        session_id = await a.new()
        seen = b.hint_of(await b.patch(session_id, set={"a": 1}))
        await cut(a)
        with pytest.raises(StoreUnavailable):
            await a.patch(session_id, seen, set={"a": 2})


async def test_an_idempotency_key_counts_once_on_whatever_workers() -> None:
    async with cluster(on_outage=BUFFER) as two:
        a, b = two.workers
        session_id = await a.new(n=0)
        await b.get(session_id)
        await cut(a)
        await cut(b)
        for worker in (a, b, a, b):
            await worker.patch(session_id, increment={"n": 1}, key="k")
        await mend(a)
        await mend(b)
        assert content(await b.get(session_id)) == {"n": 1}


async def test_beyond_the_bound_changes_are_refused_and_copies_served() -> None:
    async with cluster(on_outage=BUFFER, cache_sessions=20) as two:
        a, _ = two.workers
        ids = [await a.new() for _ in range(15)]
        await cut(a)
        refused = 0
        for session_id in ids:
            try:
                await a.patch(session_id, set={"a": 1})
            except Overloaded:
                refused += 1
        assert refused == 5
        assert a.core.counters.journal_refusals == 5
        for session_id in ids:
            await a.get(session_id)
        await mend(a)
        assert a.core.counters.replayed_sessions == 10


async def test_the_return_is_no_herd() -> None:
    async with cluster(on_outage=BUFFER) as two:
        a, b = two.workers
        ids = [await a.new(n=0) for _ in range(500)]
        await cut(a)
        for session_id in ids:
            await a.patch(session_id, increment={"n": 1})
        a.link.calls.clear()
        await mend(a)
        assert a.link.calls["write"] <= 12
        assert a.link.calls["load"] == 0
        for session_id in ids:
            assert content(await b.get(session_id)) == {"n": 1}


async def test_nobody_who_reads_between_return_and_replay_sees_less() -> None:
    async with cluster(on_outage=BUFFER) as two:
        a, b = two.workers
        session_id = await a.new(n=0)
        await cut(a)
        await a.patch(session_id, increment={"n": 1})
        created = await a.new(x=1)
        await b.patch(session_id, set={"other": 1})
        a.link.heal()
        a.link.plan("write", unavailable, times=3)
        a.link.plan("insert", unavailable, times=3)
        for _ in range(200):
            assert content(await a.get(session_id))["n"] == 1
            assert content(await a.get(created)) == {"x": 1}
            await asyncio.sleep(0.02)
        await mend(a)
        assert content(await b.get(session_id)) == {"n": 1, "other": 1}


async def test_users_of_many_workers_lose_and_double_nothing() -> None:
    names = ("a", "b", "c", "d")
    async with cluster(*names, on_outage=BUFFER) as four:
        ids = [await four.workers[n % 4].new(n=0) for n in range(8)]
        told = dict.fromkeys(ids, 0)

        async def use(worker: Worker, number: int) -> None:
            for step in range(60):
                session_id = ids[(number * 3 + step) % len(ids)]
                try:
                    await worker.patch(session_id, increment={"n": 1})
                except OutcomeUnknown:
                    raise
                except MoorlineError:
                    continue
                told[session_id] += 1
                await asyncio.sleep(0.05 + 0.01 * number)

        async def disturb(worker: Worker, number: int) -> None:
            faults = (request_lost, answer_lost, unavailable)
            for step in range(6):
                await asyncio.sleep(0.3 + 0.1 * number)
                worker.link.plan("write", faults[(step + number) % 3], times=2)
                worker.link.is_cut = step % 2 == 0

        async with asyncio.TaskGroup() as tasks:
            for number, worker in enumerate(four.workers):
                tasks.create_task(use(worker, number))
                tasks.create_task(disturb(worker, number))
        for worker in four.workers:
            await mend(worker)
        for session_id in ids:
            session = await four.session(session_id)
            assert session.contexts["/"]["n"] == told[session_id]
