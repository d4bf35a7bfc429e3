"""`onOutage: Buffer` where an end, a renew or the clock comes between a change and the store."""

import asyncio

import pytest
from moorline_api import OnOutage
from moorline_sidecar.domain.session import Session
from moorline_sidecar.errors import (
    OutcomeUnknown,
    SessionEnded,
    SessionUnknown,
    StoreRefused,
    StoreUnavailable,
)
from moorline_sidecar.sessions.replaying import REFUSED_MS
from moorline_sidecar.stores.base import Outcome

from tests.sidecar.sessions.faults import Fault, Operation, answer_lost, refused, unavailable
from tests.sidecar.sessions.workers import (
    HOUR,
    MINUTE,
    SECOND,
    VIRTUAL_TIME,
    back,
    cluster,
    content,
    cut,
    until,
)

pytestmark = VIRTUAL_TIME

BUFFER = OnOutage.BUFFER


async def test_a_session_of_the_outage_can_be_ended_before_the_store_has_it() -> None:
    async with cluster(on_outage=BUFFER) as two:
        a, b = two.workers
        await cut(a)
        session_id = await a.new(n=1)
        a.link.is_cut = False
        a.link.plan("insert", unavailable)
        await until(lambda: not a.core.availability.is_down)
        assert await a.delete(session_id)
        await asyncio.sleep(10)
        for worker in (a, b):
            with pytest.raises(SessionEnded):
                await worker.get(session_id)


async def test_a_session_of_the_outage_lives_by_its_newest_access() -> None:
    async with cluster(on_outage=BUFFER, max_idle_ms=30 * MINUTE) as two:
        a, b = two.workers
        await cut(a)
        session_id = await a.new(n=1)
        for _ in range(4):
            await asyncio.sleep(10 * 60)
            await a.get(session_id)
        await back(a)
        await until(lambda: not a.core.journal.keys)
        assert content(await b.get(session_id)) == {"n": 1}
        assert (await two.session(session_id)).expiry > two.clock.now() + 29 * MINUTE  # type: ignore[operator]


async def test_an_end_in_the_outage_reaches_what_the_session_was_renewed_to() -> None:
    async with cluster(on_outage=BUFFER) as two:
        a, b = two.workers
        old = await a.new(n=1)
        _, new = await a.renewed(old)
        a.evict(new)
        await cut(a)
        assert await a.delete(old)
        # Whoever ended it by its old id is told that nobody else knows yet.
        assert a.core.keeps_end(a.key_of(old))
        assert not a.core.keeps_end(a.key_of(await a.new()))
        with pytest.raises(SessionEnded):
            await a.get(new)
        await back(a)
        await until(lambda: not a.core.journal.ends)
        assert not a.core.keeps_end(a.key_of(old))
        with pytest.raises(SessionEnded):
            await b.get(new)


async def test_a_change_in_doubt_of_a_session_that_is_known_to_have_ended_is_answered_so() -> None:
    async with cluster(on_outage=BUFFER) as two:
        a, b = two.workers
        session_id = await a.new(n=1)

        async def ended_elsewhere(_operation: Operation) -> None:
            await b.delete(session_id)
            with pytest.raises(SessionEnded):
                await a.refresh(a.key_of(session_id))
            a.link.is_cut = True
            raise OutcomeUnknown

        a.link.plan("write", ended_elsewhere)
        with pytest.raises(SessionEnded):
            await a.patch(session_id, set={"n": 2})
        assert not a.core.journal.keys


async def test_an_end_that_the_server_refuses_keeps_nobody_from_the_store() -> None:
    async with cluster(on_outage=BUFFER) as two:
        a, _ = two.workers
        session_id, other = await a.new(n=1), await a.new(n=1)
        await cut(a)
        await a.delete(session_id)
        await a.patch(other, set={"n": 2})
        a.link.is_cut = False
        a.link.plan("write", refused, times=1_000, key=a.key_of(session_id))
        await until(lambda: not a.core.availability.is_down)
        await until(lambda: not a.core.journal.keys)
        assert (await two.session(other)).contexts["/"] == {"n": 2}
        with pytest.raises(SessionEnded):
            await a.get(session_id)
        a.link.heal()
        await until(lambda: not a.core.journal.ends)
        assert not isinstance(await two.stored(session_id), Session)


async def test_what_the_server_refuses_while_it_is_there_is_no_outage() -> None:
    async with cluster(on_outage=BUFFER) as two:
        a, _ = two.workers
        session_id = await a.new(n=1)
        a.link.plan("write", refused)
        with pytest.raises(StoreUnavailable):
            await a.patch(session_id, set={"n": 2})
        assert content(await a.get(session_id)) == {"n": 1}


async def test_many_workers_that_write_in_turn_do_not_hide_what_one_has_stored() -> None:
    async with cluster("a", "b", "c", "d", "e", "f", on_outage=BUFFER) as many:
        a, *others = many.workers
        session_id = await a.new(n=0)
        await cut(a)
        await a.patch(session_id, increment={"n": 1})
        a.link.heal()
        a.link.plan("write", answer_lost)
        await until(lambda: a.core.counters.unknown_outcomes == 1)
        a.link.is_cut = True
        await until(lambda: a.core.availability.is_down)
        for worker in others:
            await worker.patch(session_id, increment={"n": 10})
        await back(a)
        await until(lambda: not a.core.journal.keys)
        assert (await many.session(session_id)).contexts["/"] == {"n": 51}


async def test_a_new_session_that_the_server_refuses_takes_the_store_from_nobody() -> None:
    async with cluster(on_outage=BUFFER) as two:
        a, _ = two.workers
        a.link.plan("insert", refuse)
        with pytest.raises(StoreRefused):
            await a.new()
        await cut(a)
        session_id = await a.new(n=1)
        a.link.is_cut = False
        a.link.plan("insert", refuse, times=1_000)
        await until(lambda: not a.core.availability.is_down)
        outages = a.core.counters.outages
        await asyncio.sleep(30)
        assert a.core.counters.outages == outages
        a.link.heal()
        await until(lambda: not a.core.journal.keys)
        assert content(await a.get(session_id)) == {"n": 1}


async def refuse(_operation: Operation) -> None:
    raise StoreRefused


async def too_large(_operation: Operation) -> list[Outcome]:
    return [Outcome.TOO_LARGE]


@pytest.mark.parametrize(
    ("fault", "least_seconds"),
    [
        pytest.param(refused, REFUSED_MS / 1000, id="refused for long"),
        pytest.param(too_large, 0, id="too large"),
    ],
)
async def test_a_kept_change_that_the_store_never_takes_is_given_up_and_counted(
    fault: Fault, least_seconds: float
) -> None:
    async with cluster(on_outage=BUFFER, max_idle_ms=HOUR) as two:
        a, _ = two.workers
        session_id = await a.new(n=1)
        await cut(a)
        for _ in range(2):
            await a.patch(session_id, increment={"n": 1})
        a.link.plan("write", fault, times=10_000)
        a.link.is_cut = False
        began = two.clock.monotonic()
        await until(lambda: not a.core.journal.keys, 2 * REFUSED_MS / 1000)

        assert two.clock.monotonic() - began >= least_seconds * SECOND
        assert a.core.counters.lost_changes == 2
        assert a.core.counters.replayed_sessions == 0
        assert not a.core.unsaved
        assert content(await a.get(session_id)) == {"n": 1}
        a.link.heal()
        assert content(await a.patch(session_id, increment={"n": 5})) == {"n": 6}


@pytest.mark.parametrize("is_ended", [False, True], ids=["alive", "ended"])
async def test_a_kept_session_that_the_store_never_takes_is_given_up(*, is_ended: bool) -> None:
    async with cluster(on_outage=BUFFER, max_idle_ms=HOUR) as two:
        a, _ = two.workers
        await cut(a)
        session_id = await a.new(n=1)
        if is_ended:
            await a.delete(session_id)
        a.link.plan("insert", refuse, times=10_000)
        a.link.is_cut = False
        await until(lambda: not a.core.availability.is_down)
        await asyncio.sleep(REFUSED_MS / 1000 - 60)
        assert a.core.journal.creates
        await until(lambda: not a.core.journal.creates, 120)

        assert not a.core.journal.keys
        assert not a.core.journal.ends
        assert a.core.counters.lost_changes == (0 if is_ended else 1)
        with pytest.raises(SessionEnded if is_ended else SessionUnknown):
            await a.get(session_id)
