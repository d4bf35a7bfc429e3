"""Renews cut short: whatever crashes, one of the two ids is the session, never both, never none."""

import asyncio
import contextlib

import pytest
from moorline_sidecar.domain.session import Session, Tombstone
from moorline_sidecar.errors import (
    OutcomeUnknown,
    SessionEnded,
    SessionUnknown,
    StoreUnavailable,
)

from tests.sidecar.sessions.faults import Fault, Gate, Link, Operation
from tests.sidecar.sessions.workers import (
    MINUTE,
    SECOND,
    VIRTUAL_TIME,
    Cluster,
    cluster,
    content,
)

pytestmark = VIRTUAL_TIME

NEW = "the-new-id-that-the-caller-names"


def crash(link: Link, *, after: bool) -> Fault:
    """The worker is gone before its call is sent, or before the answer is back."""

    async def fault(operation: Operation) -> None:
        if after:
            await operation()
        link.is_cut = True
        raise StoreUnavailable

    return fault


async def crashed_renew(two: Cluster, verb: str, *, after: bool) -> str:
    """The old id of a renew to `NEW` whose worker, `a`, crashed at this call."""
    a, _ = two.workers
    old = await a.new(user="ada")
    a.link.plan(verb, crash(a.link, after=after))
    with contextlib.suppress(OutcomeUnknown, StoreUnavailable):
        await a.renewed(old, new_id=NEW, set={"cart": 1}, principal="ada")
    return old


BEFORE_THE_SWAP = [("insert", False), ("insert", True), ("write", False)]
AFTER_THE_SWAP = [("write", True), ("settle", False), ("settle", True)]


@pytest.mark.parametrize(("verb", "after"), BEFORE_THE_SWAP)
async def test_before_the_swap_the_old_session_lives_and_the_copy_is_served_by_nobody(
    verb: str,
    after: bool,  # noqa: FBT001
) -> None:
    async with cluster() as two:
        _, b = two.workers
        old = await crashed_renew(two, verb, after=after)
        with pytest.raises(SessionUnknown):
            await b.get(NEW)
        with pytest.raises(SessionUnknown):
            await b.patch(NEW, set={"n": 1})
        assert (await b.principals.page("ada", None, 10)).summaries == []
        assert content(await b.get(old)) == {"user": "ada"}
        assert (await b.patch(old, set={"n": 1})).entry.stored.version == 2


@pytest.mark.parametrize(("verb", "after"), AFTER_THE_SWAP)
async def test_after_the_swap_the_first_reader_finds_the_new_session(
    verb: str,
    after: bool,  # noqa: FBT001
) -> None:
    async with cluster() as two:
        _, b = two.workers
        old = await crashed_renew(two, verb, after=after)
        assert content(await b.get(NEW)) == {"user": "ada", "cart": 1}
        assert (await two.session(NEW)).renew_of is None
        assert (await b.get(old)).was_renewed
        with pytest.raises(SessionEnded):
            await b.patch(old, set={"n": 1})


@pytest.mark.parametrize(("verb", "after"), AFTER_THE_SWAP)
async def test_after_the_swap_a_change_finds_the_new_session(
    verb: str,
    after: bool,  # noqa: FBT001
) -> None:
    async with cluster() as two:
        _, b = two.workers
        await crashed_renew(two, verb, after=after)
        await b.patch(NEW, set={"n": 1})
        assert content(await b.get(NEW)) == {"user": "ada", "cart": 1, "n": 1}


@pytest.mark.parametrize(("verb", "after"), BEFORE_THE_SWAP)
async def test_the_scavenge_removes_a_copy_after_a_minute(
    verb: str,
    after: bool,  # noqa: FBT001
) -> None:
    async with cluster() as two:
        _, b = two.workers
        old = await crashed_renew(two, verb, after=after)
        two.clock.skip(MINUTE - SECOND)
        assert (await b.housekeeping.scavenge()).copies == 0
        two.clock.skip(2 * SECOND)
        await b.housekeeping.scavenge()
        assert await two.stored(NEW) is None
        await two.session(old)


@pytest.mark.parametrize(("verb", "after"), AFTER_THE_SWAP)
async def test_the_scavenge_settles_a_copy_that_is_the_session(
    verb: str,
    after: bool,  # noqa: FBT001
) -> None:
    async with cluster() as two:
        _, b = two.workers
        await crashed_renew(two, verb, after=after)
        two.clock.skip(MINUTE + SECOND)
        assert (await b.housekeeping.scavenge()).copies == 0
        assert (await two.session(NEW)).renew_of is None


@pytest.mark.parametrize(("verb", "after"), BEFORE_THE_SWAP + AFTER_THE_SWAP)
async def test_the_renew_can_be_repeated_on_another_worker(
    verb: str,
    after: bool,  # noqa: FBT001
) -> None:
    async with cluster() as two:
        _, b = two.workers
        old = await crashed_renew(two, verb, after=after)
        served, _ = await b.renewed(old, new_id=NEW, set={"cart": 1}, principal="ada")
        assert content(served) == {"user": "ada", "cart": 1}
        assert (await two.session(NEW)).renew_of is None
        assert isinstance(await two.stored(old), Tombstone)


@pytest.mark.parametrize(("verb", "after"), AFTER_THE_SWAP)
async def test_logging_out_everywhere_finds_a_session_that_is_not_settled(
    verb: str,
    after: bool,  # noqa: FBT001
) -> None:
    async with cluster() as two:
        _, b = two.workers
        await crashed_renew(two, verb, after=after)
        two.clock.skip(1)
        await b.principals.end_all("ada", handle=None, kept=None)
        with pytest.raises((SessionEnded, SessionUnknown)):
            await b.get(NEW)


@pytest.mark.parametrize(("verb", "after"), AFTER_THE_SWAP)
async def test_ending_the_old_id_finds_a_session_that_is_not_settled(
    verb: str,
    after: bool,  # noqa: FBT001
) -> None:
    async with cluster() as two:
        _, b = two.workers
        old = await crashed_renew(two, verb, after=after)
        assert await b.delete(old)
        with pytest.raises((SessionEnded, SessionUnknown)):
            await b.get(NEW)


async def test_a_worker_that_slept_before_the_swap_does_not_lose_the_session() -> None:
    async with cluster() as two:
        a, b = two.workers
        old = await a.new(user="ada")
        gate = Gate()
        a.link.plan("write", gate.before)
        renewing = asyncio.create_task(a.renewed(old, new_id=NEW))
        await gate.reached.wait()
        two.clock.skip(2 * MINUTE)
        await b.housekeeping.scavenge()
        gate.open()
        await asyncio.gather(renewing, return_exceptions=True)
        records = [await two.stored(session_id) for session_id in (old, NEW)]
        assert sum(isinstance(record, Session) for record in records) == 1


async def test_a_swap_that_lands_late_moves_the_session_once() -> None:
    async with cluster() as two:
        a, b = two.workers
        old = await a.new(user="ada")
        gate = Gate()
        a.link.plan("write", gate.late)
        a.link.plan("write", gate.late, times=1000)
        with pytest.raises(OutcomeUnknown):
            await a.renewed(old, new_id=NEW)
        assert content(await b.get(old)) == {"user": "ada"}
        await gate.land()
        assert content(await b.get(NEW)) == {"user": "ada"}
        assert (await b.get(old)).was_renewed
