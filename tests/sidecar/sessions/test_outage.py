"""The store is out of reach: copies are served, changes refused at once, nobody is ended."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from moorline_api import OnOutage, SaveMode, Staleness
from moorline_sidecar.domain.ids import Hint, new_id
from moorline_sidecar.errors import OutcomeUnknown, SessionEnded, StoreUnavailable

from tests.sidecar.sessions.faults import Operation, request_lost
from tests.sidecar.sessions.workers import (
    MINUTE,
    SECOND,
    VIRTUAL_TIME,
    Worker,
    cluster,
    content,
    cut,
    until,
)

pytestmark = VIRTUAL_TIME

Call = Callable[[Worker, str], Awaitable[object]]

CHANGES: dict[str, Call] = {
    "create": lambda worker, _: worker.put(new_id()),
    "change": lambda worker, session_id: worker.patch(session_id, set={"n": 1}),
    "increment": lambda worker, session_id: worker.patch(session_id, increment={"n": 1}),
    "renew": lambda worker, session_id: worker.renewed(session_id),
    "end": lambda worker, session_id: worker.delete(session_id),
    "complete": lambda worker, session_id: worker.done(session_id, set={"n": 1}),
    "end all": lambda worker, _: worker.principals.end_all("ada", handle=None, kept=None),
}

OF_AN_ENDED_ONE: dict[str, Call] = {
    "read": lambda worker, session_id: worker.get(session_id),
    "change": lambda worker, session_id: worker.patch(session_id, set={"n": 1}),
    "empty change": lambda worker, session_id: worker.patch(session_id),
    "renew": lambda worker, session_id: worker.renewed(session_id),
    "complete": lambda worker, session_id: worker.done(session_id, set={"n": 1}),
    "create": lambda worker, session_id: worker.put(session_id, set={"n": 1}),
}


async def hanging(_operation: Operation) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("staleness", list(Staleness))
@pytest.mark.parametrize("hint", [None, Hint(1, "a"), Hint(1, "b"), Hint(0, "b")])
async def test_copies_are_served_whatever_their_confirmation(
    staleness: Staleness, hint: Hint | None
) -> None:
    async with cluster(staleness=staleness) as two:
        a, _ = two.workers
        session_id = await a.new(user="ada")
        await cut(a)
        two.clock.skip(MINUTE)
        assert content(await a.get(session_id, hint)) == {"user": "ada"}


async def test_the_call_that_finds_the_outage_is_served_from_the_copy_too() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new(user="ada")
        a.link.is_cut = True
        assert content(await a.get(session_id)) == {"user": "ada"}
        assert a.core.availability.is_down


async def test_a_copy_below_the_hinted_version_is_not_served() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = await a.new(user="ada")
        served = await b.patch(session_id, set={"user": "bob"})
        a.link.is_cut = True
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await a.get(session_id, b.hint_of(served))


async def test_a_session_without_a_copy_cannot_be_read() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = await b.new()
        await cut(a)
        with pytest.raises(StoreUnavailable):
            await a.get(session_id)


async def test_known_ends_hold() -> None:
    async with cluster() as two:
        a, b = two.workers
        mine, theirs = await a.new(), await a.new()
        await a.delete(mine)
        await b.delete(theirs)
        with pytest.raises(SessionEnded):
            await a.get(theirs)
        await cut(a)
        for session_id in (mine, theirs):
            with pytest.raises(SessionEnded):
                await a.get(session_id, Hint(9, "b"))


@pytest.mark.parametrize("call", OF_AN_ENDED_ONE.values(), ids=OF_AN_ENDED_ONE)
@pytest.mark.parametrize("on_outage", list(OnOutage))
async def test_nobody_has_to_be_asked_about_a_known_end(on_outage: OnOutage, call: Call) -> None:
    async with cluster(on_outage=on_outage) as two:
        a, _ = two.workers
        session_id = await a.new()
        await a.delete(session_id)
        await cut(a)
        with pytest.raises(SessionEnded):
            await call(a, session_id)
        assert not await a.delete(session_id)


async def test_a_known_renew_is_over_for_others_but_its_successor_cannot_be_ended() -> None:
    async with cluster() as two:
        a, _ = two.workers
        old = await a.new(user="ada")
        _, new = await a.renewed(old, key="once")
        await cut(a)
        with pytest.raises(SessionEnded):
            await a.renewed(old)
        with pytest.raises(StoreUnavailable):
            await a.renewed(old, key="once")
        with pytest.raises(StoreUnavailable):
            await a.delete(old)
        assert content(await a.get(new)) == {"user": "ada"}


async def test_a_change_that_changes_nothing_is_an_access() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new(user="ada")
        await cut(a)
        two.clock.skip(MINUTE)
        served = await a.patch(session_id)
        assert content(served) == {"user": "ada"}
        assert served.entry.times.own_accessed == two.clock.now()
        with pytest.raises(StoreUnavailable):
            await a.patch(session_id, if_match=1)


@pytest.mark.parametrize("max_age_ms", [0, 30 * MINUTE], ids=["idle", "age"])
async def test_local_expiry_holds(max_age_ms: int) -> None:
    async with cluster(max_age_ms=max_age_ms) as two:
        a, _ = two.workers
        session_id = await a.new()
        await cut(a)
        two.clock.skip(30 * MINUTE)
        with pytest.raises(SessionEnded):
            await a.get(session_id)


@pytest.mark.parametrize("mode", [SaveMode.WRITE, SaveMode.PERIODIC])
@pytest.mark.parametrize("call", CHANGES.values(), ids=CHANGES)
async def test_changes_are_refused_within_a_tenth_of_a_second_once_the_outage_is_known(
    call: Call, mode: SaveMode
) -> None:
    async with cluster(save_mode=mode) as two:
        a, _ = two.workers
        session_id = await a.new(user="ada")
        await cut(a)
        began = two.clock.monotonic()
        with pytest.raises(StoreUnavailable):
            await call(a, session_id)
        assert two.clock.monotonic() - began <= 100
        assert (await two.session(session_id)).version == 1


@pytest.mark.parametrize("call", CHANGES.values(), ids=CHANGES)
async def test_a_store_that_hangs_is_answered_for_within_three_seconds(call: Call) -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new(user="ada")
        a.link.always = hanging
        began = two.clock.monotonic()
        with pytest.raises((StoreUnavailable, OutcomeUnknown)):
            await call(a, session_id)
        assert two.clock.monotonic() - began <= 3 * SECOND
        a.link.always = None


async def test_a_change_behind_a_write_of_unknown_outcome_is_refused_at_once() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new()
        a.link.always = request_lost
        first = asyncio.create_task(a.patch(session_id, increment={"n": 1}))
        await until(lambda: a.core.availability.is_down)
        for call in (CHANGES["change"], CHANGES["renew"], CHANGES["end"]):
            began = two.clock.monotonic()
            with pytest.raises(StoreUnavailable):
                await call(a, session_id)
            assert two.clock.monotonic() - began <= 100
        with pytest.raises(OutcomeUnknown):
            await first


async def test_a_read_behind_a_load_that_hangs_is_refused_at_once_when_the_outage_is_known() -> (
    None
):
    async with cluster() as two:
        a, b = two.workers
        session_id = await b.new()
        a.link.plan("load", hanging)
        first = asyncio.create_task(a.get(session_id))
        await asyncio.sleep(0.1)
        await cut(a)
        began = two.clock.monotonic()
        with pytest.raises(StoreUnavailable):
            await a.get(session_id)
        assert two.clock.monotonic() - began <= 100
        with pytest.raises(StoreUnavailable):
            await first


async def test_the_outage_is_noticed_by_the_heartbeat_alone() -> None:
    async with cluster() as two:
        a, _ = two.workers
        a.link.is_cut = True
        await asyncio.sleep(2.1)
        assert a.core.availability.is_down


async def test_the_store_is_probed_gently_while_it_is_away() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new()
        await cut(a)
        a.link.calls.clear()
        for _ in range(100):
            await a.get(session_id)
            await asyncio.gather(a.patch(session_id, set={"n": 1}), return_exceptions=True)
            await asyncio.sleep(0.1)
        assert sum(a.link.calls.values()) <= 10 / 0.15
        assert a.link.calls["now"] == sum(a.link.calls.values())
