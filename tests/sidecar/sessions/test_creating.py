"""Create: what a new session is, and that a repeated create makes no second one."""

import asyncio

import pytest
from moorline_api import CacheMode, SaveMode
from moorline_sidecar.domain.ids import new_id
from moorline_sidecar.errors import (
    InvalidValue,
    OutcomeUnknown,
    SessionEnded,
    SessionExists,
    SessionUnknown,
    StoreUnavailable,
)

from tests.sidecar.sessions.faults import Gate, answer_lost, request_lost, unavailable
from tests.sidecar.sessions.workers import (
    MINUTE,
    SECOND,
    T0,
    VIRTUAL_TIME,
    cluster,
    content,
)

pytestmark = VIRTUAL_TIME


async def test_a_new_session_is_accessed_when_it_is_created() -> None:
    async with cluster() as two:
        a, _ = two.workers
        two.clock.skip(5 * SECOND)
        session = await two.session(await a.new(user="ada"))
        assert session.created == session.accessed == T0 + 5 * SECOND
        assert session.version == 1
        assert session.last_node == "a"
        assert session.contexts == {"/": {"user": "ada"}}


@pytest.mark.parametrize(
    ("max_idle_ms", "max_age_ms", "expiry", "deadline"),
    [
        pytest.param(30 * MINUTE, 0, T0 + 30 * MINUTE, None, id="idle"),
        pytest.param(0, 0, None, None, id="never"),
        pytest.param(0, MINUTE, T0 + MINUTE, T0 + MINUTE, id="age alone"),
        pytest.param(30 * MINUTE, MINUTE, T0 + MINUTE, T0 + MINUTE, id="age before idle"),
        pytest.param(MINUTE, 30 * MINUTE, T0 + MINUTE, T0 + 30 * MINUTE, id="idle before age"),
    ],
)
async def test_the_expiry_is_never_later_than_the_deadline(
    max_idle_ms: int, max_age_ms: int, expiry: int | None, deadline: int | None
) -> None:
    async with cluster(max_idle_ms=max_idle_ms, max_age_ms=max_age_ms) as two:
        session = await two.session(await two.workers[0].new())
        assert (session.expiry, session.deadline) == (expiry, deadline)


@pytest.mark.parametrize("mode", list(SaveMode))
async def test_a_create_is_durable_before_it_is_answered_in_every_save_mode(
    mode: SaveMode,
) -> None:
    async with cluster(save_mode=mode) as two:
        a, b = two.workers
        session_id = await a.new(user="ada")
        assert content(await b.get(session_id)) == {"user": "ada"}


async def test_a_created_session_is_read_without_asking_by_whoever_created_it() -> None:
    async with cluster() as two:
        a, _ = two.workers
        served, session_id = await a.put(new_id())
        assert served.is_new
        await a.get(session_id, a.hint_of(served))
        assert not a.link.calls["load"]
        assert not a.link.calls["confirm"]


async def test_an_id_that_is_taken_is_refused_on_every_worker() -> None:
    async with cluster() as two:
        session_id = await two.workers[0].new(user="ada")
        for worker in two.workers:
            with pytest.raises(SessionExists):
                await worker.put(session_id)
        assert (await two.session(session_id)).contexts == {"/": {"user": "ada"}}


async def test_the_id_of_an_ended_session_is_never_used_again() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = await a.new()
        await a.delete(session_id)
        for worker in (a, b):
            with pytest.raises(SessionEnded):
                await worker.put(session_id)


async def test_of_many_creates_under_one_id_exactly_one_wins() -> None:
    async with cluster() as two:
        session_id = new_id()
        results = await asyncio.gather(
            *(two.workers[n % 2].put(session_id, set={"by": n}) for n in range(20)),
            return_exceptions=True,
        )
        refused = [result for result in results if isinstance(result, SessionExists)]
        assert len(refused) == len(results) - 1


async def test_a_create_that_is_not_accepted_leaves_nothing() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = new_id()
        with pytest.raises(InvalidValue):
            await a.put(session_id, set={"n": "text"}, increment={"n": 1})
        assert await two.stored(session_id) is None


async def test_a_store_that_is_away_refuses_a_create() -> None:
    async with cluster() as two:
        a, _ = two.workers
        a.link.plan("insert", unavailable)
        session_id = new_id()
        with pytest.raises(StoreUnavailable):
            await a.put(session_id)
        assert await two.stored(session_id) is None


@pytest.mark.parametrize("fault", [answer_lost, request_lost])
async def test_a_create_whose_answer_is_lost_once_is_done_once(fault: type) -> None:
    async with cluster() as two:
        a, _ = two.workers
        a.link.plan("insert", fault)
        served, session_id = await a.put(new_id(), set={"user": "ada"})
        assert served.is_new
        assert content(await a.get(session_id)) == {"user": "ada"}


async def test_a_create_whose_outcome_stays_unknown_says_so() -> None:
    async with cluster() as two:
        a, _ = two.workers
        a.link.always = request_lost
        with pytest.raises(OutcomeUnknown):
            await a.put(new_id())


@pytest.mark.parametrize("mode", list(CacheMode))
async def test_a_session_created_while_it_was_looked_for_is_not_held_absent(
    mode: CacheMode,
) -> None:
    async with cluster(cache_mode=mode) as two:
        a, _ = two.workers
        session_id = new_id()
        gate = Gate()
        a.link.plan("load", gate.after)
        looking = asyncio.create_task(a.get(session_id))
        await gate.reached.wait()
        await a.put(session_id, set={"user": "ada"})
        gate.open()
        await asyncio.gather(looking, return_exceptions=True)
        assert content(await a.get(session_id)) == {"user": "ada"}


async def test_an_unknown_id_is_never_adopted() -> None:
    async with cluster() as two:
        session_id = new_id()
        for worker in two.workers:
            with pytest.raises(SessionUnknown):
                await worker.get(session_id)
            with pytest.raises(SessionUnknown):
                await worker.patch(session_id, set={"user": "eve"})
        assert await two.stored(session_id) is None
