"""Exactly once: writes whose answer is lost, and requests repeated under their key."""

import asyncio

import pytest
from moorline_api import SaveMode
from moorline_sidecar.domain.ids import Hint
from moorline_sidecar.errors import OutcomeUnknown, SessionEnded, SessionUnknown, StoreUnavailable
from moorline_sidecar.stores.base import Outcome

from tests.sidecar.sessions.faults import (
    Fault,
    Gate,
    Operation,
    answer_lost,
    request_lost,
    unavailable,
)
from tests.sidecar.sessions.workers import (
    SECOND,
    VIRTUAL_TIME,
    Changes,
    Cluster,
    cluster,
    content,
)

pytestmark = VIRTUAL_TIME

LOST = pytest.mark.parametrize("fault", [answer_lost, request_lost])


async def counted(two: Cluster, session_id: str) -> object:
    return (await two.session(session_id)).contexts["/"].get("n", 0)


@LOST
@pytest.mark.parametrize("key", [None, "once"])
async def test_an_increment_whose_answer_is_lost_is_applied_once(
    fault: Fault, key: str | None
) -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new()
        a.link.plan("write", fault)
        changes: Changes = {"increment": {"n": 1}}
        if key is not None:
            changes["key"] = key
        await a.patch(session_id, **changes)
        assert await counted(two, session_id) == 1


async def test_a_change_whose_answer_stays_lost_is_said_to_be_unknown() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new()
        a.link.plan("write", request_lost, times=1000)
        began = two.clock.monotonic()
        with pytest.raises(OutcomeUnknown):
            await a.patch(session_id, increment={"n": 1})
        assert two.clock.monotonic() - began <= 3 * SECOND


async def test_a_change_that_surely_was_not_applied_is_not_said_to_be_unknown() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new()
        a.link.plan("write", unavailable)
        with pytest.raises(StoreUnavailable):
            await a.patch(session_id, increment={"n": 1})
        assert await counted(two, session_id) == 0


async def test_a_change_that_could_not_even_be_read_for_is_not_said_to_be_unknown() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = await a.new()
        b.link.plan("load", request_lost)
        with pytest.raises(StoreUnavailable):
            await b.patch(session_id, increment={"n": 1})


async def test_a_write_that_lands_late_is_applied_once() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new()
        gate = Gate()
        a.link.plan("write", gate.late)
        await a.patch(session_id, increment={"n": 1})
        await gate.land()
        assert await counted(two, session_id) == 1
        await a.patch(session_id, increment={"n": 1})
        await gate.land()
        assert await counted(two, session_id) == 2


async def test_a_lost_write_that_was_built_upon_is_found_by_its_key() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = await a.new()

        async def lost_and_built_upon(operation: Operation) -> None:
            await operation()
            await b.patch(session_id, set={"theirs": 1})
            raise OutcomeUnknown

        a.link.plan("write", lost_and_built_upon)
        await a.patch(session_id, key="once", increment={"n": 1})
        assert await counted(two, session_id) == 1


async def test_a_lost_write_without_a_key_that_was_built_upon_stays_unknown() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = await a.new()

        async def lost_and_built_upon(_operation: object) -> None:
            await b.patch(session_id, set={"theirs": 1})
            raise OutcomeUnknown

        a.link.plan("write", lost_and_built_upon)
        with pytest.raises(OutcomeUnknown):
            await a.patch(session_id, increment={"n": 1})
        assert await counted(two, session_id) == 0


async def test_a_change_of_unknown_outcome_can_be_repeated_under_its_key_elsewhere() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = await a.new()
        gate = Gate()
        a.link.plan("write", gate.late, times=1000)
        with pytest.raises(OutcomeUnknown):
            await a.patch(session_id, key="once", increment={"n": 1})
        await b.patch(session_id, key="once", increment={"n": 1})
        await gate.land()
        assert await counted(two, session_id) == 1


async def test_a_late_change_whose_session_was_changed_meanwhile_is_not_applied() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = await a.new()
        gate = Gate()
        a.link.plan("write", gate.late, times=1000)
        with pytest.raises(OutcomeUnknown):
            await a.patch(session_id, increment={"n": 1})
        await b.patch(session_id, set={"theirs": 1})
        for outcomes in await gate.land():
            assert outcomes == [Outcome.CONFLICT]
        assert await counted(two, session_id) == 0


async def test_a_change_of_unknown_outcome_is_seen_as_it_turned_out() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new()
        a.link.plan("write", answer_lost)
        a.link.plan("write", unavailable, times=1000)
        with pytest.raises(OutcomeUnknown):
            await a.patch(session_id, increment={"n": 1})
        a.link.always = None
        await asyncio.sleep(1)
        assert content(await a.get(session_id)) == {"n": 1}


@LOST
async def test_a_save_in_the_background_whose_answer_is_lost_saves_once(fault: Fault) -> None:
    async with cluster(save_mode=SaveMode.PERIODIC) as two:
        a, _ = two.workers
        session_id = await a.new()
        await a.patch(session_id, set={"user": "ada"})
        a.link.plan("write", fault)
        await asyncio.sleep(6)
        session = await two.session(session_id)
        assert (session.version, session.contexts["/"]) == (2, {"user": "ada"})
        assert not a.unsaved


@LOST
async def test_a_renew_whose_answers_are_lost_happens_once(fault: Fault) -> None:
    async with cluster() as two:
        a, b = two.workers
        old = await a.new(user="ada")
        for verb in ("insert", "write", "settle"):
            a.link.plan(verb, fault)
        _, new = await a.renewed(old, Hint(1, "a"), increment={"n": 1})
        await asyncio.sleep(1)
        assert content(await b.get(new)) == {"user": "ada", "n": 1}
        with pytest.raises(SessionEnded):
            await b.patch(old, set={"n": 5})


async def test_a_lost_change_to_a_session_that_is_purged_meanwhile_says_that_it_is_gone() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new()

        async def purged(_operation: Operation) -> None:
            await two.store.close()
            raise OutcomeUnknown

        a.link.plan("write", purged)
        with pytest.raises(SessionUnknown):
            await a.patch(session_id, increment={"n": 1})


async def test_a_lost_change_to_a_session_that_is_ended_meanwhile_is_not_said_to_be_made() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = await a.new()

        async def ended(_operation: Operation) -> None:
            await b.delete(session_id)
            raise OutcomeUnknown

        a.link.plan("write", ended)
        with pytest.raises((OutcomeUnknown, SessionEnded)):
            await a.patch(session_id, increment={"n": 1})
        with pytest.raises(SessionEnded):
            await a.get(session_id)


async def test_a_lost_end_of_a_session_that_another_has_ended_is_no_end_by_this_call() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = await a.new()

        async def ended(_operation: Operation) -> None:
            await b.delete(session_id)
            raise OutcomeUnknown

        a.link.plan("write", ended)
        assert not await a.delete(session_id)


async def test_a_lost_swap_of_a_session_that_changed_meanwhile_is_repeated_on_top_of_it() -> None:
    async with cluster() as two:
        a, b = two.workers
        old = await a.new()

        async def changed(_operation: Operation) -> None:
            await b.patch(old, set={"cart": 1})
            raise OutcomeUnknown

        a.link.plan("write", changed)
        _, new = await a.renewed(old, Hint(1, "a"))
        assert content(await b.get(new)) == {"cart": 1}
        assert await two.store.count() == 2
