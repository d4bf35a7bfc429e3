"""A create repeated under its key: for a minute the same worker makes no second session of it."""

import asyncio

import pytest
from moorline_sidecar.domain.ids import new_id
from moorline_sidecar.errors import OutcomeUnknown, SessionEnded, StoreUnavailable

from tests.sidecar.sessions.faults import answer_lost, request_lost, unavailable
from tests.sidecar.sessions.workers import (
    SECOND,
    VIRTUAL_TIME,
    Worker,
    asked,
    cluster,
    content,
    until,
)

pytestmark = VIRTUAL_TIME


async def once(worker: Worker) -> str:
    """The id of the session that this key makes."""
    return (await worker.put(new_id(), key="once", set={"user": "ada"}))[1]


async def test_a_create_repeated_within_a_minute_gives_the_first_session() -> None:
    async with cluster() as two:
        a, _ = two.workers
        first = await once(a)
        two.clock.skip(59 * SECOND)
        assert await once(a) == first
        assert await two.store.count() == 1


async def test_a_create_repeated_while_the_first_is_under_way_gives_the_first_session() -> None:
    async with cluster() as two:
        a, _ = two.workers
        ids = await asyncio.gather(*(once(a) for _ in range(10)))
        assert len(set(ids)) == 1
        assert await two.store.count() == 1


async def test_a_repeated_create_shows_the_session_as_it_is_now() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = await once(a)
        await b.patch(session_id, set={"user": "bob"})
        served, _ = await a.put(new_id(), key="once")
        assert not served.is_new
        assert content(served) == {"user": "bob"}


async def test_a_create_repeated_when_its_session_is_over_says_so() -> None:
    async with cluster(max_idle_ms=10 * SECOND) as two:
        a, _ = two.workers
        await once(a)
        two.clock.skip(11 * SECOND)
        async with asyncio.timeout(5):
            with pytest.raises(SessionEnded):
                await once(a)


@pytest.mark.parametrize(
    ("key", "context", "wait"),
    [
        pytest.param("other", "/", 0, id="another key"),
        pytest.param("once", "/admin", 0, id="another context"),
        pytest.param("once", "/", 61 * SECOND, id="after a minute"),
    ],
)
async def test_another_create_makes_another_session(key: str, context: str, wait: int) -> None:
    async with cluster() as two:
        a, _ = two.workers
        first = await once(a)
        two.clock.skip(wait)
        _, second = await a.create(new_id(), asked(key=key, context=context))
        assert second != first


async def test_a_create_that_failed_for_sure_can_be_repeated() -> None:
    async with cluster() as two:
        a, _ = two.workers
        a.link.plan("insert", unavailable)
        with pytest.raises(StoreUnavailable):
            await once(a)
        await asyncio.sleep(1)
        await once(a)
        assert await two.store.count() == 1


async def test_a_create_of_unknown_outcome_repeated_under_its_key_makes_no_second_session() -> None:
    async with cluster() as two:
        a, _ = two.workers
        a.link.plan("insert", answer_lost)
        a.link.always = request_lost
        with pytest.raises(OutcomeUnknown):
            await once(a)
        a.link.always = None
        await asyncio.sleep(1)
        session_id = await once(a)
        assert await two.store.count() == 1
        assert content(await a.get(session_id)) == {"user": "ada"}


async def test_a_create_of_unknown_outcome_is_still_known_after_a_repeat_that_was_refused() -> None:
    async with cluster() as two:
        a, _ = two.workers
        a.link.plan("insert", answer_lost)
        a.link.always = request_lost
        with pytest.raises(OutcomeUnknown):
            await once(a)
        with pytest.raises(StoreUnavailable):
            await once(a)
        a.link.always = None
        await asyncio.sleep(1)
        await once(a)
        assert await two.store.count() == 1


async def test_a_create_behind_one_of_unknown_outcome_is_refused_at_once() -> None:
    async with cluster() as two:
        a, _ = two.workers
        a.link.always = request_lost
        first = asyncio.create_task(once(a))
        await until(lambda: a.core.availability.is_down)
        began = two.clock.monotonic()
        with pytest.raises(StoreUnavailable):
            await once(a)
        assert two.clock.monotonic() - began <= 100
        with pytest.raises(OutcomeUnknown):
            await first
