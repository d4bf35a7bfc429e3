"""An end is final, on every worker, whoever writes whatever and however late."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from moorline_api import CacheMode, SaveMode
from moorline_sidecar.domain.ids import Hint, new_id
from moorline_sidecar.domain.session import Reason, Tombstone
from moorline_sidecar.errors import OutcomeUnknown, SessionEnded, SessionUnknown, StoreUnavailable
from moorline_sidecar.stores.base import Outcome, Purge, PurgeKind

from tests.sidecar.sessions.faults import Gate, answer_lost, request_lost, unavailable
from tests.sidecar.sessions.workers import MINUTE, T0, VIRTUAL_TIME, Worker, cluster, content

pytestmark = VIRTUAL_TIME

LATE_WRITES = {
    "change": lambda worker, session_id: worker.patch(session_id, set={"late": 1}),
    "increment": lambda worker, session_id: worker.patch(session_id, increment={"late": 1}),
    "life span": lambda worker, session_id: worker.patch(session_id, max_idle_ms=0),
    "principal": lambda worker, session_id: worker.patch(session_id, principal="eve"),
    "complete": lambda worker, session_id: worker.done(session_id, set={"late": 1}),
    "renew": lambda worker, session_id: worker.renewed(session_id),
    "read": lambda worker, session_id: worker.get(session_id),
    "create": lambda worker, session_id: worker.put(session_id),
}
Late = Callable[[Worker, str], Awaitable[object]]


@pytest.mark.parametrize("reason", [Reason.LOGOUT, Reason.ADMIN])
async def test_an_end_leaves_a_tombstone_without_content(reason: Reason) -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new(user="ada")
        two.clock.skip(MINUTE)
        assert await a.delete(session_id, reason)
        tombstone = await two.tombstone(session_id)
        assert tombstone.reason is reason
        assert tombstone.invalidated == T0 + MINUTE
        assert tombstone.version == 2
        assert tombstone.grace is None


async def test_an_ended_session_is_gone_on_the_worker_that_ended_it_without_asking() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new()
        await a.delete(session_id)
        with pytest.raises(SessionEnded) as ended:
            await a.get(session_id, Hint(1, "a"))
        assert ended.value.reason is Reason.LOGOUT
        assert not a.link.calls["load"]


async def test_ending_again_is_no_error_and_says_so() -> None:
    async with cluster() as two:
        session_id = await two.workers[0].new()
        assert await two.workers[0].delete(session_id)
        for worker in two.workers:
            assert not await worker.delete(session_id)


async def test_an_unknown_session_cannot_be_ended() -> None:
    async with cluster() as two:
        with pytest.raises(SessionUnknown):
            await two.workers[0].delete(new_id())


@pytest.mark.parametrize("late", LATE_WRITES.values(), ids=LATE_WRITES)
@pytest.mark.parametrize("purged", [False, True], ids=["tombstone", "purged"])
async def test_no_late_call_brings_an_ended_session_back(late: Late, purged: bool) -> None:  # noqa: FBT001
    async with cluster() as two:
        a, b = two.workers
        session_id = await a.new(user="ada")
        await b.get(session_id)
        await a.delete(session_id)
        if purged:
            everything = Purge(kind=PurgeKind.INVALID, before=T0 + MINUTE, now=T0)
            assert await two.store.purge(everything, 0) == 1
            if late is LATE_WRITES["create"]:
                return
        with pytest.raises((SessionEnded, SessionUnknown)):
            await late(b, session_id)
        record = await two.stored(session_id)
        assert record is None if purged else isinstance(record, Tombstone)


@pytest.mark.parametrize("purged", [False, True], ids=["tombstone", "purged"])
@pytest.mark.parametrize("verb", ["write", "touch"])
async def test_no_write_that_was_under_way_brings_an_ended_session_back(
    verb: str,
    purged: bool,  # noqa: FBT001
) -> None:
    async with cluster(touch_period_ms=0) as two:
        a, b = two.workers
        session_id = await a.new(user="ada")
        await b.get(session_id)
        gate = Gate()
        b.link.plan(verb, gate.before)
        two.clock.skip(MINUTE)
        call = b.patch(session_id, set={"late": 1}) if verb == "write" else b.get(session_id)
        under_way = asyncio.create_task(_outcome(call))
        await gate.reached.wait()
        await a.delete(session_id)
        if purged:
            await two.store.purge(Purge(kind=PurgeKind.INVALID, before=T0 + 2 * MINUTE, now=T0), 0)
        gate.open()
        await under_way
        record = await two.stored(session_id)
        assert record is None if purged else isinstance(record, Tombstone)
        with pytest.raises((SessionEnded, SessionUnknown)):
            await b.get(session_id)


async def _outcome(call: Awaitable[object]) -> object:
    try:
        return await call
    except (SessionEnded, SessionUnknown) as error:
        return error


async def test_a_write_that_lands_after_the_end_is_not_applied() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = await a.new()
        await b.get(session_id)
        gate = Gate()
        b.link.plan("write", gate.late)
        b.link.plan("write", unavailable, times=1000)
        with pytest.raises(OutcomeUnknown):
            await b.patch(session_id, set={"late": 1})
        await a.delete(session_id)
        assert await gate.land() == [[Outcome.ENDED]]
        await two.tombstone(session_id)


@pytest.mark.parametrize("mode", [SaveMode.COMPLETE, SaveMode.PERIODIC, SaveMode.SHUTDOWN])
async def test_unsaved_changes_do_not_outlive_the_end(mode: SaveMode) -> None:
    async with cluster(save_mode=mode) as two:
        a, b = two.workers
        session_id = await a.new()
        await b.patch(session_id, set={"late": 1})
        await a.delete(session_id)
        await b.close(1)
        await two.tombstone(session_id)


async def test_a_load_under_way_does_not_bring_back_what_this_worker_ended() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = await b.new()
        gate = Gate()
        a.link.plan("load", gate.after)
        reading = asyncio.create_task(_outcome(a.get(session_id)))
        await gate.reached.wait()
        await a.delete(session_id)
        gate.open()
        await reading
        with pytest.raises(SessionEnded):
            await a.get(session_id, Hint(1, "a"))


async def test_a_read_whose_touch_is_overtaken_by_the_end_serves_no_tombstone() -> None:
    async with cluster(touch_period_ms=0) as two:
        a, _ = two.workers
        session_id = await a.new(user="ada")
        gate = Gate()
        a.link.plan("touch", gate.before)
        two.clock.skip(1)
        reading = asyncio.create_task(_outcome(a.get(session_id, Hint(1, "a"))))
        await gate.reached.wait()
        await a.delete(session_id)
        gate.open()
        outcome = await reading
        if not isinstance(outcome, SessionEnded):
            assert content(outcome) == {"user": "ada"}  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", list(CacheMode))
@pytest.mark.parametrize("fault", [answer_lost, request_lost])
async def test_an_end_whose_answer_is_lost_once_has_happened(
    fault: Callable[[object], Awaitable[None]], mode: CacheMode
) -> None:
    async with cluster(cache_mode=mode) as two:
        a, _ = two.workers
        session_id = await a.new()
        a.link.plan("write", fault)
        assert await a.delete(session_id)
        with pytest.raises(SessionEnded):
            await a.get(session_id)


async def test_an_end_that_the_store_surely_did_not_see_is_refused() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new()
        a.link.plan("write", unavailable)
        with pytest.raises(StoreUnavailable):
            await a.delete(session_id)
        await two.session(session_id)


async def test_an_end_that_the_store_will_not_take_does_not_pass_for_an_unknown_session() -> None:
    async def refused(_operation: object) -> list[Outcome]:
        return [Outcome.REFUSED]

    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new()
        a.link.plan("write", refused)
        with pytest.raises(Exception) as error:  # noqa: PT011 which one is for the code to choose
            await a.delete(session_id)
        assert not isinstance(error.value, SessionUnknown)
