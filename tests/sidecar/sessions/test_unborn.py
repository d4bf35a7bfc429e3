"""`saveOnCreate: false`: nothing is stored before the first change."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from moorline_sidecar.domain.ids import new_id
from moorline_sidecar.domain.session import Reason
from moorline_sidecar.errors import (
    OutcomeUnknown,
    SessionEnded,
    SessionExists,
    SessionUnknown,
    TooLarge,
    VersionConflict,
)
from moorline_sidecar.sessions.core import served_session
from moorline_sidecar.sessions.creating import UNBORN_MS

from tests.sidecar.sessions.faults import Fault, Gate, answer_lost, request_lost
from tests.sidecar.sessions.workers import (
    HOUR,
    MINUTE,
    SECOND,
    T0,
    VIRTUAL_TIME,
    Changes,
    Worker,
    cluster,
    content,
)

pytestmark = VIRTUAL_TIME

ON_THE_DEAD: dict[str, Callable[[Worker, str], Awaitable[object]]] = {
    "read": lambda worker, session_id: worker.get(session_id),
    "change": lambda worker, session_id: worker.patch(session_id, set={"user": "ada"}),
    "renew": lambda worker, session_id: worker.renewed(session_id),
    "create": lambda worker, session_id: worker.put(session_id),
    "create with a change": lambda worker, session_id: worker.put(session_id, set={"n": 1}),
}
"""What gets 410 for a session that is over."""


async def test_a_session_without_a_change_is_not_stored() -> None:
    async with cluster(saves_on_create=False) as two:
        a, _ = two.workers
        session_id = await a.new()
        assert content(await a.get(session_id)) == {}
        assert await two.store.count() == 0


async def test_a_session_that_was_not_stored_has_no_version_to_write_a_cookie_for() -> None:
    async with cluster(saves_on_create=False) as two:
        served, _ = await two.workers[0].put(new_id())
        assert served.entry.stored.version == 0


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"set": {"user": "ada"}}, id="attributes"),
        pytest.param({"principal": "ada"}, id="principal"),
    ],
)
async def test_a_create_with_content_is_a_change(changes: Changes) -> None:
    async with cluster(saves_on_create=False) as two:
        await two.workers[0].put(new_id(), **changes)
        assert await two.store.count() == 1


async def test_the_first_change_stores_the_session_and_says_so() -> None:
    async with cluster(saves_on_create=False) as two:
        a, b = two.workers
        session_id = await a.new()
        served = await a.patch(session_id, set={"user": "ada"})
        assert served.is_born
        assert served.entry.stored.version == 1
        assert content(await b.get(session_id)) == {"user": "ada"}
        assert not (await a.patch(session_id, set={"n": 1})).is_born


async def test_the_first_change_counts_as_the_creation() -> None:
    async with cluster(saves_on_create=False, max_age_ms=10 * MINUTE) as two:
        a, _ = two.workers
        session_id = await a.new()
        two.clock.skip(MINUTE)
        await a.patch(session_id, set={"user": "ada"})
        session = await two.session(session_id)
        born = T0 + MINUTE
        assert (session.created, session.accessed, session.cookie_set) == (born, born, born)
        assert session.deadline == born + 10 * MINUTE


async def test_concurrent_first_changes_are_all_applied() -> None:
    async with cluster(saves_on_create=False) as two:
        a, _ = two.workers
        session_id = await a.new()
        await asyncio.gather(*(a.patch(session_id, set={f"n{n}": n}) for n in range(10)))
        expected = {f"n{n}": n for n in range(10)}
        assert (await two.session(session_id)).contexts == {"/": expected}


async def test_a_first_change_that_is_refused_leaves_the_session_unborn() -> None:
    async with cluster(saves_on_create=False, max_session_bytes=100) as two:
        a, _ = two.workers
        session_id = await a.new()
        with pytest.raises(TooLarge):
            await a.patch(session_id, set={"text": "x" * 200})
        assert await two.store.count() == 0
        await a.patch(session_id, set={"text": "x"})
        assert await two.store.count() == 1


async def test_a_first_change_that_names_a_version_is_refused() -> None:
    async with cluster(saves_on_create=False) as two:
        a, _ = two.workers
        session_id = await a.new()
        with pytest.raises(VersionConflict):
            await a.patch(session_id, if_match=7, set={"user": "ada"})
        assert await two.store.count() == 0


async def test_a_first_change_repeated_under_its_key_is_applied_once_on_any_worker() -> None:
    async with cluster(saves_on_create=False) as two:
        a, b = two.workers
        session_id = await a.new()
        await a.patch(session_id, key="once", increment={"n": 1})
        await a.patch(session_id, key="once", increment={"n": 1})
        await b.patch(session_id, key="once", increment={"n": 1})
        assert (await two.session(session_id)).contexts == {"/": {"n": 1}}


async def test_a_first_change_of_unknown_outcome_leaves_a_session_that_can_be_used() -> None:
    async with cluster(saves_on_create=False) as two:
        a, _ = two.workers
        session_id = await a.new()
        a.link.plan("insert", answer_lost)
        a.link.always = request_lost
        with pytest.raises(OutcomeUnknown):
            await a.patch(session_id, set={"user": "ada"})
        a.link.always = None
        await asyncio.sleep(1)
        await a.patch(session_id, set={"cart": 1})
        assert (await two.session(session_id)).contexts == {"/": {"user": "ada", "cart": 1}}


async def test_a_first_change_of_unknown_outcome_hides_nothing_that_others_have_done() -> None:
    async with cluster(saves_on_create=False) as two:
        a, b = two.workers
        session_id = await a.new()
        a.link.plan("insert", answer_lost)
        a.link.always = request_lost
        with pytest.raises(OutcomeUnknown):
            await a.patch(session_id, set={"user": "ada"})
        a.link.always = None
        await asyncio.sleep(1)
        served = await b.patch(session_id, set={"cart": 1})
        assert content(await a.get(session_id, b.hint_of(served))) == {"user": "ada", "cart": 1}
        await b.delete(session_id)
        with pytest.raises(SessionEnded):
            await a.get(session_id)


async def test_a_session_ended_before_its_first_change_is_gone() -> None:
    async with cluster(saves_on_create=False) as two:
        a, _ = two.workers
        session_id = await a.new()
        assert await a.delete(session_id)
        for _ in range(2):
            for call in ON_THE_DEAD.values():
                with pytest.raises(SessionEnded) as ended:
                    await call(a, session_id)
                assert ended.value.reason == Reason.LOGOUT
            assert not await a.delete(session_id)
        assert await two.store.count() == 0


async def test_a_session_ended_during_its_first_change_stays_ended() -> None:
    async with cluster(saves_on_create=False) as two:
        a, _ = two.workers
        session_id = await a.new()
        gate = Gate()
        a.link.plan("insert", gate.before)
        changing = asyncio.create_task(a.patch(session_id, set={"user": "ada"}))
        await gate.reached.wait()
        ending = asyncio.create_task(a.delete(session_id))
        await asyncio.sleep(0.1)
        gate.open()
        await asyncio.gather(changing, ending, return_exceptions=True)
        with pytest.raises((SessionEnded, SessionUnknown)):
            await a.get(session_id)


async def test_an_unborn_session_can_be_renewed_by_a_login() -> None:
    async with cluster(saves_on_create=False) as two:
        a, b = two.workers
        old = await a.new()
        _, new = await a.renewed(old, set={"user": "ada"}, principal="ada")
        assert new != old
        assert content(await b.get(new)) == {"user": "ada"}


@pytest.mark.parametrize("fault", [None, answer_lost, request_lost])
async def test_a_repeated_renew_of_an_unborn_session_gives_the_same_new_session(
    fault: Fault | None,
) -> None:
    async with cluster(saves_on_create=False) as two:
        a, _ = two.workers
        old = await a.new()
        if fault is None:
            await a.renewed(old, key="once", increment={"n": 1})
        else:
            a.link.plan("insert", fault)
            a.link.always = request_lost
            with pytest.raises(OutcomeUnknown):
                await a.renewed(old, key="once", increment={"n": 1})
            a.link.always = None
            await asyncio.sleep(1)
        _, new = await a.renewed(old, key="once", increment={"n": 1})
        assert content(await a.get(new)) == {"n": 1}
        assert await two.store.count() == 1


@pytest.mark.parametrize(
    ("max_idle_ms", "life_ms"),
    [
        pytest.param(MINUTE, MINUTE, id="of its own"),
        pytest.param(HOUR, UNBORN_MS, id="of the unborn"),
        pytest.param(0, UNBORN_MS, id="without an end"),
    ],
)
async def test_an_unborn_session_ends_when_it_was_idle_for_its_life(
    max_idle_ms: int, life_ms: int
) -> None:
    async with cluster(saves_on_create=False, max_idle_ms=max_idle_ms) as two:
        a, _ = two.workers
        session_id = await a.new()
        for _ in range(2):
            two.clock.skip(life_ms - 1)
            await a.get(session_id)
        two.clock.skip(life_ms - 1)
        await a.get(session_id, is_access=False)
        two.clock.skip(1)
        for call in ON_THE_DEAD.values():
            with pytest.raises(SessionEnded) as ended:
                await call(a, session_id)
            assert ended.value.reason == Reason.EXPIRED
        assert not await a.delete(session_id)


async def test_an_unborn_session_has_the_times_of_any_other() -> None:
    async with cluster(saves_on_create=False, max_idle_ms=MINUTE, max_age_ms=2 * MINUTE) as two:
        a, _ = two.workers
        session_id = await a.new()
        seen = []
        for is_access in (True, False, True):
            two.clock.skip(25 * SECOND)
            session = served_session((await a.get(session_id, is_access=is_access)).entry)
            assert session is not None
            assert session.expiry is not None
            times = (session.accessed, session.last_accessed, session.expiry)
            seen.append(tuple((time - T0) // SECOND for time in times))
        assert seen == [(25, 0, 85), (25, 0, 85), (75, 25, 120)]
        two.clock.skip(45 * SECOND - 1)
        await a.get(session_id)
        two.clock.skip(1)
        with pytest.raises(SessionEnded):
            await a.get(session_id)


@pytest.mark.parametrize("is_born", [False, True], ids=["unborn", "born"])
async def test_what_an_unborn_session_was_renewed_from_is_over(*, is_born: bool) -> None:
    changes: Changes = {"set": {"user": "ada"}} if is_born else {}
    async with cluster(saves_on_create=False, max_age_ms=2 * MINUTE) as two:
        a, _ = two.workers
        old = await a.new()
        two.clock.skip(SECOND)
        _, new = await a.renewed(old, **changes)
        assert content(await a.get(new)) == changes.get("set", {})
        for name in ("change", "create", "renew"):
            with pytest.raises(SessionEnded) as ended:
                await ON_THE_DEAD[name](a, old)
            assert ended.value.reason == Reason.RENEWED
        if is_born:
            assert content(await a.get(old)) == {}
        assert await a.delete(old)
        assert not await a.delete(old)
        for session_id in (old, new):
            with pytest.raises(SessionEnded):
                await a.get(session_id)


async def test_an_unborn_session_is_not_renewed_to_an_id_that_was_used() -> None:
    async with cluster(saves_on_create=False) as two:
        a, _ = two.workers
        dead, other, session_id = await a.new(), await a.new(), await a.new()
        await a.delete(dead)
        for taken in (dead, other, session_id):
            with pytest.raises(SessionExists):
                await a.renewed(session_id, new_id=taken)
        assert content(await a.get(session_id)) == {}


async def test_what_bots_leave_behind_is_bounded() -> None:
    async with cluster(saves_on_create=False, cache_sessions=100) as two:
        a, _ = two.workers
        first = await a.new()
        for _ in range(100):
            await a.new()
        with pytest.raises(SessionUnknown):
            await a.get(first)
