"""Corners where two rules meet: each of these lost, doubled or kept something once."""

import asyncio

import pytest
from moorline_api import SaveMode, WhenReached
from moorline_sidecar.domain.ids import Hint, hashed_key
from moorline_sidecar.domain.session import Session
from moorline_sidecar.errors import OutcomeUnknown, SessionUnknown, StoreUnavailable
from moorline_sidecar.stores.base import Purge, PurgeKind

from tests.sidecar.sessions.faults import answer_lost, request_lost, unavailable
from tests.sidecar.sessions.workers import MINUTE, SECOND, VIRTUAL_TIME, cluster, content, cut

pytestmark = VIRTUAL_TIME


@pytest.mark.parametrize("use", ["change", "access"])
async def test_a_renewed_session_in_use_outlives_the_tombstone_of_its_origin(use: str) -> None:
    async with cluster() as two:
        a, _ = two.workers
        old = await a.new(user="ada")
        a.link.plan("settle", unavailable)
        _, new = await a.renewed(old)
        await asyncio.sleep(1)
        two.clock.skip(2 * MINUTE)
        if use == "change":
            await a.patch(new, set={"cart": 1})
        else:
            await a.get(new)
            await asyncio.sleep(1)
        now = two.clock.now()
        await two.store.purge(Purge(kind=PurgeKind.INVALID, before=now, now=now), 10)
        await a.housekeeping.scavenge()
        assert isinstance(await two.stored(new), Session)


async def test_an_unborn_session_that_may_be_stored_is_ended_in_the_store_too() -> None:
    async with cluster(saves_on_create=False) as two:
        a, _ = two.workers
        session_id = await a.new()
        a.link.plan("insert", answer_lost)
        a.link.always = request_lost
        with pytest.raises(OutcomeUnknown):
            await a.patch(session_id, set={"user": "ada"})
        a.link.always = None
        await asyncio.sleep(1)
        assert await a.delete(session_id)
        await two.tombstone(session_id)


async def test_the_renew_of_an_unborn_session_can_be_repeated() -> None:
    async with cluster(saves_on_create=False) as two:
        a, _ = two.workers
        old = await a.new()
        _, new = await a.renewed(old, key="once", set={"user": "ada"})
        served, again = await a.renewed(old, key="once", set={"user": "ada"})
        assert again == new
        assert content(served) == {"user": "ada"}
        assert await two.store.count() == 1


async def test_the_renew_of_an_unborn_session_whose_answer_was_lost_can_be_repeated() -> None:
    async with cluster(saves_on_create=False) as two:
        a, _ = two.workers
        old = await a.new()
        a.link.plan("insert", answer_lost)
        a.link.always = request_lost
        with pytest.raises(OutcomeUnknown):
            await a.renewed(old, key="once", set={"user": "ada"})
        a.link.always = None
        await asyncio.sleep(1)
        served, _ = await a.renewed(old, key="once", set={"user": "ada"})
        assert content(served) == {"user": "ada"}
        assert await two.store.count() == 1


async def test_complete_that_is_refused_has_changed_nothing() -> None:
    async with cluster(save_mode=SaveMode.COMPLETE) as two:
        a, _ = two.workers
        session_id = await a.new()
        a.link.plan("write", unavailable)
        with pytest.raises(StoreUnavailable):
            await a.done(session_id, Hint(1, "a"), set={"cart": 1})
        assert content(await a.get(session_id, Hint(1, "a"))) == {}
        assert not a.unsaved


async def test_a_save_whose_answer_was_lost_leaves_nothing_unsaved() -> None:
    async with cluster(save_mode=SaveMode.PERIODIC, save_period_ms=SECOND) as two:
        a, b = two.workers
        session_id = await a.new()
        a.link.plan("write", answer_lost)
        a.link.plan("load", unavailable, times=50)
        await a.patch(session_id, key="once", set={"cart": 1})
        await asyncio.sleep(1.2)
        await b.patch(session_id, set={"theirs": 1})
        await asyncio.sleep(20)
        assert not a.unsaved
        assert (await two.session(session_id)).contexts["/"] == {"cart": 1, "theirs": 1}
        assert await a.close(1)


async def test_a_login_at_the_limit_can_be_repeated() -> None:
    async with cluster(principal_max=1, when_reached=WhenReached.REFUSE) as two:
        a, b = two.workers
        old = await a.new()
        _, new = await a.renewed(old, key="once", principal="ada")
        for worker in (a, b):
            assert (await worker.renewed(old, key="once", principal="ada"))[1] == new


async def test_reads_in_an_outage_leave_one_time_to_write_each() -> None:
    async with cluster(touch_period_ms=0) as two:
        a, _ = two.workers
        session_id = await a.new()
        await cut(a)
        for _ in range(500):
            two.clock.skip(1)
            await a.get(session_id, Hint(1, "a"))
        assert sum(map(len, a.touching._due.values())) <= 2  # noqa: SLF001 nothing shows how long it is
        a.link.is_cut = False
        await asyncio.sleep(2)
        assert (await two.session(session_id)).accessed == a.core.l1.peek(
            hashed_key(session_id)
        ).times.own_accessed  # type: ignore[union-attr] # it was just read


async def test_the_session_kept_is_found_past_a_stale_copy() -> None:
    async with cluster() as two:
        a, b = two.workers
        kept = await a.new()
        await a.patch(kept, principal="ada")
        await a.get(kept, Hint(2, "a"))
        _, new = await b.renewed(kept)
        two.clock.skip(1)
        await a.principals.end_all("ada", handle=None, kept=hashed_key(kept))
        assert isinstance(await two.stored(new), Session)
        with pytest.raises(SessionUnknown):
            await a.delete("nobody-has-ever-seen-this-id")
