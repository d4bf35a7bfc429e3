"""`sessions.perPrincipal`: how many sessions one principal may have, and what happens beyond."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from moorline_api import WhenReached
from moorline_sidecar.domain.ids import new_id
from moorline_sidecar.domain.session import Reason
from moorline_sidecar.errors import (
    OutcomeUnknown,
    StoreUnavailable,
    TooManySessions,
)

from tests.sidecar.sessions.faults import Fault, Gate, request_lost, unavailable
from tests.sidecar.sessions.workers import (
    MINUTE,
    SECOND,
    VIRTUAL_TIME,
    Worker,
    cluster,
    content,
    keys_of,
    living,
    login,
)

pytestmark = VIRTUAL_TIME


async def _login_by_change(worker: Worker) -> str:
    session_id = await worker.new()
    await worker.patch(session_id, principal="ada")
    return session_id


async def _login_by_renew(worker: Worker) -> str:
    return (await worker.renewed(await worker.new(), principal="ada"))[1]


LOGINS: dict[str, Callable[[Worker], Awaitable[str]]] = {
    "create": login,
    "change": _login_by_change,
    "renew": _login_by_renew,
}


@pytest.mark.parametrize("how", LOGINS)
async def test_at_the_limit_the_longest_unused_session_ends(how: str) -> None:
    async with cluster(principal_max=2) as two:
        a, b = two.workers
        ids = []
        for n in range(5):
            two.clock.skip(MINUTE)
            ids.append(await LOGINS[how]((a, b)[n % 2]))
        assert await living(two, ids) == ids[3:]
        assert (await two.tombstone(ids[0])).reason is Reason.LIMIT


@pytest.mark.parametrize("how", LOGINS)
async def test_at_the_limit_another_login_is_refused(how: str) -> None:
    async with cluster(principal_max=2, when_reached=WhenReached.REFUSE) as two:
        a, b = two.workers
        ids = [await LOGINS[how](a), await LOGINS[how](b)]
        with pytest.raises(TooManySessions):
            await LOGINS[how](a)
        assert sorted(await keys_of(a)) == sorted(map(a.key_of, ids))
        await a.delete(ids[0])
        await LOGINS[how](b)


async def test_a_session_of_the_principal_counts_not_against_itself() -> None:
    async with cluster(principal_max=1, when_reached=WhenReached.REFUSE) as two:
        a, _ = two.workers
        session_id = await login(a)
        await a.patch(session_id, principal="ada", set={"n": 1})
        _, session_id = await a.renewed(session_id, principal="ada")
        assert content(await a.get(session_id)) == {"n": 1}


@pytest.mark.parametrize(
    ("worker", "max_idle_ms", "max_age_ms", "after_ms"),
    [
        pytest.param(0, SECOND, 0, SECOND, id="idle, asked where it was used"),
        pytest.param(1, SECOND, 0, 6_101, id="idle, and its own slack is over"),
        pytest.param(0, MINUTE, SECOND, SECOND, id="old, asked where it was used"),
        pytest.param(1, MINUTE, SECOND, SECOND, id="old, to the millisecond"),
        pytest.param(1, 900, SECOND, SECOND, id="old and just idle"),
    ],
)
async def test_a_session_counts_until_it_is_over(
    worker: int, max_idle_ms: int, max_age_ms: int, after_ms: int
) -> None:
    refuse = WhenReached.REFUSE
    async with cluster(principal_max=1, when_reached=refuse, max_age_ms=max_age_ms) as two:
        asked = two.workers[worker]
        await two.workers[0].put(new_id(), principal="ada", max_idle_ms=max_idle_ms)
        two.clock.skip(after_ms - 1)
        with pytest.raises(TooManySessions):
            await login(asked)
        two.clock.skip(1)
        assert await keys_of(asked) == []
        await login(asked)


async def test_a_session_that_may_have_been_used_elsewhere_counts() -> None:
    async with cluster(principal_max=1, when_reached=WhenReached.REFUSE) as two:
        a, b = two.workers
        session_id = (await a.put(new_id(), principal="ada", max_idle_ms=MINUTE))[1]
        two.clock.skip(5 * SECOND)
        await a.get(session_id)
        two.clock.skip(MINUTE - 1)
        for worker in (a, b):
            with pytest.raises(TooManySessions):
                await login(worker)


async def test_no_live_session_ends_in_the_place_of_one_that_is_over() -> None:
    async with cluster(principal_max=2) as two:
        a, b = two.workers
        lasting = await login(a)
        await a.put(new_id(), principal="ada", max_idle_ms=SECOND)
        two.clock.skip(6_200)
        await login(b)
        assert await living(two, [lasting]) == [lasting]


async def test_two_logins_at_once_do_not_end_each_other() -> None:
    async with cluster(principal_max=1) as two:
        gates = [Gate(), Gate()]
        for worker, gate in zip(two.workers, gates, strict=True):
            worker.link.plan("by_principal", gate.before)
        logins = [asyncio.create_task(login(worker)) for worker in two.workers]
        for gate in gates:
            await gate.reached.wait()
        for gate in gates:
            gate.open()
        assert await living(two, await asyncio.gather(*logins))


@pytest.mark.parametrize("fault", [unavailable, request_lost])
@pytest.mark.parametrize("how", LOGINS)
async def test_a_login_that_happened_is_not_refused_because_the_limit_could_not_be_kept(
    how: str, fault: Fault
) -> None:
    async with cluster(principal_max=1) as two:
        a, _ = two.workers
        a.link.plan("by_principal", fault)
        try:
            await LOGINS[how](a)
        except OutcomeUnknown:
            pass
        except StoreUnavailable:
            await asyncio.sleep(1)
            assert await keys_of(a) == []
