"""For a while after a renew the old id shows what was before, to readers, and nothing else."""

from collections.abc import Awaitable, Callable

import pytest
from moorline_sidecar.domain.session import Reason
from moorline_sidecar.errors import SessionEnded

from tests.sidecar.sessions.workers import MINUTE, SECOND, VIRTUAL_TIME, Worker, cluster, content

pytestmark = VIRTUAL_TIME

Call = Callable[[Worker, str], Awaitable[object]]

GRACE = 10 * SECOND

READS: dict[str, Call] = {
    "read": lambda worker, session_id: worker.get(session_id),
    "complete without a body": lambda worker, session_id: worker.done(session_id),
}
CHANGES: dict[str, Call] = {
    "change": lambda worker, session_id: worker.patch(session_id, set={"user": "eve"}),
    "increment": lambda worker, session_id: worker.patch(session_id, increment={"n": 1}),
    "empty change": lambda worker, session_id: worker.patch(session_id),
    "life span": lambda worker, session_id: worker.patch(session_id, max_idle_ms=0),
    "complete with a body": lambda worker, session_id: worker.done(session_id, set={"n": 1}),
    "renew": lambda worker, session_id: worker.renewed(session_id),
}


async def assert_renewed(worker: Worker, session_id: str) -> None:
    with pytest.raises(SessionEnded) as ended:
        await worker.get(session_id)
    assert ended.value.reason is Reason.RENEWED


async def test_a_read_with_the_old_id_sees_what_was_before_on_every_worker() -> None:
    async with cluster() as two:
        a, _ = two.workers
        old = await a.new(user="guest")
        _, new = await a.renewed(old, set={"user": "ada"}, principal="ada")
        await a.patch(new, set={"cart": 1})
        for worker in two.workers:
            served = await worker.get(old)
            assert served.was_renewed
            assert content(served) == {"user": "guest"}
            assert served.entry.key == worker.key_of(old)
            assert served.entry.stored.version == 1


async def test_the_grace_is_over_to_the_millisecond_on_every_worker() -> None:
    async with cluster() as two:
        a, b = two.workers
        old = await a.new()
        await a.renewed(old)
        two.clock.skip(GRACE - 1)
        for worker in (a, b):
            assert (await worker.get(old)).was_renewed
        two.clock.skip(1)
        for worker in (a, b):
            await assert_renewed(worker, old)


async def test_without_a_grace_the_old_id_is_over_at_once() -> None:
    async with cluster(renew_grace_ms=0) as two:
        old = await two.workers[0].new()
        await two.workers[0].renewed(old)
        for worker in two.workers:
            await assert_renewed(worker, old)


@pytest.mark.parametrize("call", READS.values(), ids=READS)
async def test_what_counts_as_a_read_is_answered_in_the_grace(call: Call) -> None:
    async with cluster() as two:
        old = await two.workers[0].new()
        await two.workers[0].renewed(old)
        for worker in two.workers:
            await call(worker, old)


@pytest.mark.parametrize("call", CHANGES.values(), ids=CHANGES)
async def test_changes_with_the_old_id_are_refused(call: Call) -> None:
    async with cluster() as two:
        a, b = two.workers
        old = await a.new(user="ada")
        await b.get(old)
        _, new = await a.renewed(old)
        for worker in (a, b):
            with pytest.raises(SessionEnded) as ended:
                await call(worker, old)
            assert ended.value.reason is Reason.RENEWED
        assert (await two.session(new)).contexts == {"/": {"user": "ada"}}


async def test_ending_the_new_session_ends_the_grace_on_every_worker() -> None:
    async with cluster() as two:
        a, b = two.workers
        old = await a.new()
        _, new = await a.renewed(old)
        for worker in (a, b):
            await worker.get(old)
        await b.delete(new)
        for worker in (a, b):
            await assert_renewed(worker, old)


async def test_a_new_session_that_is_over_ends_the_grace() -> None:
    async with cluster(max_age_ms=MINUTE) as two:
        old = await two.workers[0].new()
        two.clock.skip(MINUTE - SECOND)
        await two.workers[0].renewed(old)
        two.clock.skip(SECOND)
        for worker in two.workers:
            await assert_renewed(worker, old)


async def test_every_old_id_has_its_grace_while_the_last_session_lives() -> None:
    async with cluster() as two:
        a, b = two.workers
        first = await a.new(n=1)
        _, second = await a.renewed(first, set={"n": 2})
        _, third = await b.renewed(second, set={"n": 3})
        for worker in (a, b):
            assert content(await worker.get(first)) == {"n": 1}
            assert content(await worker.get(second)) == {"n": 2}
        await b.delete(third)
        for worker in (a, b):
            await assert_renewed(worker, first)
            await assert_renewed(worker, second)


@pytest.mark.parametrize("place", [0, 1], ids=["the same worker", "another worker"])
async def test_ending_an_old_id_ends_all_its_successors(place: int) -> None:
    async with cluster() as two:
        a, b = two.workers
        first = await a.new()
        _, second = await a.renewed(first)
        _, third = await b.renewed(second)
        assert await two.workers[place].delete(first)
        assert (await two.tombstone(third)).reason is Reason.LOGOUT
        for worker in (a, b):
            with pytest.raises(SessionEnded):
                await worker.get(third)
            await assert_renewed(worker, first)


async def test_ending_an_old_id_after_the_grace_ends_its_successors_too() -> None:
    async with cluster() as two:
        a, _ = two.workers
        old = await a.new()
        _, new = await a.renewed(old)
        two.clock.skip(MINUTE)
        await a.housekeeping.scavenge()
        assert await a.delete(old)
        await two.tombstone(new)


async def test_the_scavenge_removes_what_was_kept_for_the_grace() -> None:
    async with cluster() as two:
        a, b = two.workers
        old = await a.new(user="ada")
        await a.renewed(old)
        two.clock.skip(GRACE - SECOND)
        await b.housekeeping.scavenge()
        assert (await a.get(old)).was_renewed
        two.clock.skip(2 * SECOND)
        assert (await b.housekeeping.scavenge()).graces == 1
        tombstone = await two.tombstone(old)
        assert tombstone.grace is None
        assert tombstone.renewed_to is not None
