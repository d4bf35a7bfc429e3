"""Saves that race other workers: what was answered is saved on top, or the end is told."""

import asyncio

import pytest
from moorline_api import Eviction, SaveMode
from moorline_sidecar.domain.ids import Hint
from moorline_sidecar.errors import SessionEnded

from tests.sidecar.sessions.faults import Gate
from tests.sidecar.sessions.workers import SECOND, VIRTUAL_TIME, cluster, content

pytestmark = VIRTUAL_TIME


async def test_unsaved_changes_merge_with_what_another_worker_wrote() -> None:
    async with cluster(save_mode=SaveMode.COMPLETE) as two:
        a, b = two.workers
        session_id = await a.new(user="ada", cart=0)
        await a.patch(session_id, set={"cart": 1})
        await b.patch(session_id, increment={"visits": 1})
        assert content(await a.get(session_id)) == {"user": "ada", "cart": 1, "visits": 1}
        await a.done(session_id)
        assert (await two.session(session_id)).contexts["/"] == {
            "user": "ada",
            "cart": 1,
            "visits": 1,
        }


async def test_a_change_that_comes_while_its_session_is_saved_is_kept() -> None:
    async with cluster(save_mode=SaveMode.COMPLETE) as two:
        a, _ = two.workers
        session_id = await a.new()
        await a.patch(session_id, set={"one": 1})
        gate = Gate()
        a.link.plan("write", gate.before)
        completing = asyncio.create_task(a.done(session_id))
        await gate.reached.wait()
        assert (await a.patch(session_id, Hint(1, "a"), set={"two": 2})).entry.unsaved
        gate.open()
        await completing
        assert content(await a.get(session_id)) == {"one": 1, "two": 2}
        await asyncio.sleep(6)
        assert (await two.session(session_id)).contexts["/"] == {"one": 1, "two": 2}


async def test_complete_for_a_session_that_was_ended_elsewhere_says_so() -> None:
    async with cluster(save_mode=SaveMode.COMPLETE) as two:
        a, b = two.workers
        session_id = await a.new()
        await a.patch(session_id, set={"cart": 1})
        await b.delete(session_id)
        with pytest.raises(SessionEnded):
            await a.done(session_id, Hint(1, "a"))


async def test_a_save_that_is_overtaken_by_an_end_does_not_stop_the_saving_of_others() -> None:
    async with cluster(save_mode=SaveMode.PERIODIC, save_period_ms=SECOND) as two:
        a, b = two.workers
        ended, other = await a.new(), await a.new()
        gate = Gate()
        a.link.plan("write", gate.after)
        await a.patch(ended, set={"n": 1})
        await gate.reached.wait()
        await b.delete(ended)
        with pytest.raises(SessionEnded):
            await a.get(ended)
        gate.open()
        await asyncio.sleep(1)
        await a.patch(other, set={"n": 1})
        await asyncio.sleep(2)
        assert (await two.session(other)).contexts["/"] == {"n": 1}


async def test_a_change_on_top_of_a_save_is_not_hidden_when_its_answer_is_late() -> None:
    async with cluster(save_mode=SaveMode.PERIODIC, save_period_ms=SECOND) as two:
        a, b = two.workers
        session_id = await a.new()
        gate = Gate()
        a.link.plan("write", gate.after)
        await a.patch(session_id, set={"n": 1})
        await gate.reached.wait()
        served = await b.patch(session_id, if_match=2, set={"n": 2})
        await a.get(session_id, b.hint_of(served))
        gate.open()
        await asyncio.sleep(0.1)
        served = await a.get(session_id, b.hint_of(served))
        assert content(served) == {"n": 2}
        assert served.entry.is_evictable


async def test_a_saved_change_is_not_refused_for_what_another_worker_added() -> None:
    async with cluster(save_mode=SaveMode.COMPLETE, max_session_bytes=1000) as two:
        a, b = two.workers
        session_id = await a.new()
        await a.patch(session_id, set={"mine": "x" * 600})
        await b.done(session_id, set={"theirs": "y" * 600})
        await a.done(session_id, Hint(1, "a"))
        assert sorted((await two.session(session_id)).contexts["/"]) == ["mine", "theirs"]


async def test_a_change_whose_session_ends_before_its_answer_serves_no_tombstone() -> None:
    async with cluster(save_mode=SaveMode.COMPLETE, evict=Eviction.AFTER_REQUEST) as two:
        a, b = two.workers
        session_id = await a.new()
        written, saved = Gate(), Gate()
        a.link.plan("write", written.after)
        a.link.plan("write", saved.before)
        change = asyncio.create_task(a.patch(session_id, increment={"n": 1}))
        await written.reached.wait()
        await a.patch(session_id, Hint(1, "a"), set={"pending": 1})
        written.open()
        await saved.reached.wait()
        await b.delete(session_id)
        with pytest.raises(SessionEnded):
            await a.get(session_id)
        saved.open()
        try:
            assert content(await change)["n"] == 1
        except SessionEnded:
            await two.tombstone(session_id)
