"""Renews that race changes, ends, readers and each other: nothing is lost, nothing doubled."""

import asyncio

import pytest
from moorline_api import SaveMode
from moorline_sidecar.domain.ids import Hint
from moorline_sidecar.domain.session import Reason
from moorline_sidecar.errors import SessionEnded

from tests.sidecar.sessions.faults import Gate, unavailable
from tests.sidecar.sessions.workers import VIRTUAL_TIME, cluster, content

pytestmark = VIRTUAL_TIME


async def test_a_renew_that_another_worker_overtakes_is_repeated_on_top_of_the_change() -> None:
    async with cluster() as two:
        a, b = two.workers
        old = await a.new(user="ada")
        await b.patch(old, set={"cart": 1})
        _, new = await a.renewed(old, Hint(1, "a"))
        assert (await two.session(new)).contexts == {"/": {"user": "ada", "cart": 1}}
        assert await two.store.count() == 2


async def test_a_change_learned_while_the_copy_is_made_is_not_lost() -> None:
    async with cluster() as two:
        a, b = two.workers
        old = await a.new(user="ada")
        gate = Gate()
        a.link.plan("insert", gate.after)
        renewing = asyncio.create_task(a.renewed(old))
        await gate.reached.wait()
        changed = await b.patch(old, set={"cart": 1})
        await a.get(old, b.hint_of(changed))
        gate.open()
        _, new = await renewing
        assert (await two.session(new)).contexts == {"/": {"user": "ada", "cart": 1}}


async def test_an_end_learned_while_the_copy_is_made_holds() -> None:
    async with cluster() as two:
        a, b = two.workers
        old = await a.new(user="ada")
        gate = Gate()
        a.link.plan("insert", gate.after)
        renewing = asyncio.create_task(a.renewed(old))
        await gate.reached.wait()
        await b.delete(old)
        with pytest.raises(SessionEnded):
            await a.get(old)
        gate.open()
        with pytest.raises(SessionEnded) as ended:
            await renewing
        assert ended.value.reason is Reason.LOGOUT
        assert await two.store.count() == 1


async def test_a_reader_who_sees_the_swap_first_does_not_disturb_the_renew() -> None:
    async with cluster() as two:
        a, b = two.workers
        old = await a.new(user="ada")
        gate = Gate()
        a.link.plan("write", gate.after)
        renewing = asyncio.create_task(a.renewed(old))
        await gate.reached.wait()
        assert (await a.get(old)).was_renewed
        gate.open()
        _, new = await renewing
        assert content(await b.get(new)) == {"user": "ada"}


@pytest.mark.parametrize("workers", [(0, 0), (0, 1)], ids=["one worker", "two workers"])
async def test_of_two_renews_at_once_one_wins_and_the_other_is_told(
    workers: tuple[int, int],
) -> None:
    async with cluster() as two:
        old = await two.workers[0].new(user="ada")
        results = await asyncio.gather(
            *(two.workers[n].renewed(old) for n in workers), return_exceptions=True
        )
        (loser,) = (result for result in results if isinstance(result, BaseException))
        assert isinstance(loser, SessionEnded)
        assert loser.reason is Reason.RENEWED
        assert await two.store.count() == 2


async def test_the_same_renew_on_two_workers_at_once_loses_nothing() -> None:
    async with cluster() as two:
        a, b = two.workers
        old = await a.new(user="ada")
        hint = b.hint_of(await b.get(old))
        results = await asyncio.gather(
            a.renewed(old, key="once"), b.renewed(old, hint, key="once"), return_exceptions=True
        )
        new = {result[1] for result in results if not isinstance(result, BaseException)}
        assert len(new) == 1
        assert content(await a.get(new.pop())) == {"user": "ada"}


async def test_a_renew_repeated_elsewhere_before_the_first_is_settled_loses_nothing() -> None:
    async with cluster() as two:
        a, b = two.workers
        old = await a.new(user="ada")
        hint = b.hint_of(await b.get(old))
        a.link.plan("settle", unavailable)
        _, new = await a.renewed(old, key="once")
        _, again = await b.renewed(old, hint, key="once")
        assert again == new
        assert content(await b.get(new)) == {"user": "ada"}


async def test_a_change_that_is_answered_while_the_id_is_swapped_is_not_lost() -> None:
    async with cluster(save_mode=SaveMode.PERIODIC) as two:
        a, _ = two.workers
        old = await a.new(user="ada")
        gate = Gate()
        a.link.plan("insert", gate.after)
        renewing = asyncio.create_task(a.renewed(old))
        await gate.reached.wait()
        change = asyncio.create_task(a.patch(old, Hint(1, "a"), set={"cart": 1}))
        await asyncio.sleep(0.1)
        gate.open()
        _, new = await renewing
        try:
            await change
        except SessionEnded:
            return
        assert content(await a.get(new)) == {"user": "ada", "cart": 1}
