"""With a live change stream copies are served wherever a client goes, and never for long."""

import asyncio

import pytest
from moorline_api import CacheMode, SaveMode, Staleness
from moorline_sidecar.domain.ids import Hint, new_id
from moorline_sidecar.domain.session import Tombstone
from moorline_sidecar.errors import HistoryLost, SessionEnded, SessionUnknown, StoreUnavailable
from moorline_sidecar.sessions.finding import Source
from msgspec import structs

from tests.sidecar.sessions.faults import Gate, Operation, unavailable
from tests.sidecar.sessions.workers import (
    SECOND,
    VIRTUAL_TIME,
    caught_up,
    cluster,
    content,
    cut,
    is_live,
    questions,
    until,
)

pytestmark = VIRTUAL_TIME

ELSEWHERE = Hint(1, "b")


async def hanging(_operation: Operation) -> None:
    """No reply, and no error: a link that is half open."""
    await asyncio.Event().wait()


async def lost(_operation: Operation) -> None:
    raise HistoryLost("so says the test")


async def test_a_copy_is_served_on_a_hint_of_another_worker_however_old_it_is() -> None:
    async with cluster(has_stream=True, max_idle_ms=0) as two:
        a, _ = two.workers
        session_id = await a.new(n=1)
        await asyncio.sleep(3_600)
        a.link.calls.clear()
        served = await a.get(session_id, ELSEWHERE, is_access=False)
        assert served.source is Source.HIT
        assert not questions(a)


async def test_without_a_hint_the_store_is_asked() -> None:
    async with cluster(has_stream=True) as two:
        a, _ = two.workers
        session_id = await a.new(n=1)
        assert (await a.get(session_id, None)).source is Source.REVALIDATED


async def test_a_change_elsewhere_is_seen_by_every_copy() -> None:
    async with cluster(has_stream=True) as two:
        a, b = two.workers
        session_id = await a.new(n=1)
        await b.patch(session_id, set={"n": 2})
        await caught_up(two)
        served = await a.get(session_id, Hint(1, "a"))
        assert (served.source, content(served)) == (Source.MISS, {"n": 2})
        assert (a.link.calls["load"], a.link.calls["confirm"]) == (1, 0)
        assert (await a.get(session_id, Hint(2, "b"))).source is Source.HIT


async def test_a_logout_elsewhere_is_known_without_asking() -> None:
    async with cluster(has_stream=True) as two:
        a, b = two.workers
        session_id = await a.new(secret="1234")
        await b.delete(session_id)
        await caught_up(two)
        copy = a.copy_of(session_id)
        assert copy is not None
        assert isinstance(copy.record, Tombstone)
        with pytest.raises(SessionEnded) as ended:
            await a.get(session_id, Hint(1, "a"))
        assert ended.value.reason == "logout"
        assert not questions(a)


async def test_an_end_that_was_told_holds_in_an_outage() -> None:
    async with cluster(has_stream=True) as two:
        a, b = two.workers
        session_id = await a.new()
        await b.delete(session_id)
        await caught_up(two)
        await cut(a)
        with pytest.raises(SessionEnded):
            await a.get(session_id, Hint(1, "a"))


async def test_a_renew_elsewhere_is_known_and_its_grace_kept() -> None:
    async with cluster(has_stream=True) as two:
        a, b = two.workers
        old = await a.new(n=1)
        _, new = await b.renewed(old)
        await caught_up(two)
        served = await a.get(old, Hint(1, "a"))
        assert served.was_renewed
        assert content(await a.get(new)) == {"n": 1}


async def test_a_record_that_was_deleted_is_not_served_from_a_copy() -> None:
    async with cluster(has_stream=True, max_idle_ms=0) as two:
        a, _ = two.workers
        session_id = await a.new()
        session = await two.session(session_id)
        # A person in the shell.
        two.store._delete(session.key)  # noqa: SLF001 the port has no such verb
        await caught_up(two)
        with pytest.raises(SessionUnknown):
            await a.get(session_id, Hint(1, "a"))


async def test_times_elsewhere_outdate_no_copy() -> None:
    async with cluster(has_stream=True, touch_period_ms=0) as two:
        a, b = two.workers
        session_id = await a.new()
        await b.get(session_id)
        await caught_up(two)
        assert (await a.get(session_id, ELSEWHERE, is_access=False)).source is Source.HIT


@pytest.mark.parametrize("is_known", [False, True], ids=["not cached", "cached"])
async def test_a_load_that_an_event_has_overtaken_is_not_trusted(*, is_known: bool) -> None:
    async with cluster(has_stream=True, max_idle_ms=0) as two:
        a, b = two.workers
        session_id = await (a if is_known else b).new(n=1)
        gate = Gate()
        a.link.plan("confirm" if is_known else "load", gate.after)
        reading = asyncio.create_task(a.get(session_id, None, is_access=False))
        await gate.reached.wait()
        await b.patch(session_id, set={"n": 2})
        await caught_up(two)
        gate.open()
        await reading
        assert content(await a.get(session_id, Hint(1, "a"))) == {"n": 2}


async def test_a_load_that_many_events_have_overtaken_is_not_trusted() -> None:
    async with cluster(has_stream=True, max_idle_ms=0) as two:
        a, b = two.workers
        session_id = await b.new(n=1)
        gate = Gate()
        a.link.plan("load", gate.after)
        reading = asyncio.create_task(a.get(session_id, None, is_access=False))
        await gate.reached.wait()
        await b.patch(session_id, set={"n": 2})
        await caught_up(two)
        for number in range(5_000):
            a.core.coverage.note(f"other-{number}", 2, a.core.clock.monotonic())
        gate.open()
        await reading
        assert content(await a.get(session_id, Hint(1, "a"))) == {"n": 2}


async def test_a_stream_without_replies_is_not_live_for_more_than_three_seconds() -> None:
    async with cluster(has_stream=True, max_idle_ms=0) as two:
        a, b = two.workers
        session_id = await a.new(n=1)
        a.link.plan("receive", hanging, times=100)
        began = a.link.calls["receive"]
        await until(lambda: a.link.calls["receive"] > began)
        await b.patch(session_id, set={"n": 2})
        await until(lambda: not is_live(a), 3)
        assert content(await a.get(session_id, ELSEWHERE)) == {"n": 2}


async def test_a_reply_that_was_long_on_its_way_proves_nothing() -> None:
    async with cluster(has_stream=True, max_idle_ms=0) as two:
        a, b = two.workers
        session_id = await a.new(n=1)
        gate = Gate()
        a.link.plan("receive", gate.after)
        await gate.reached.wait()
        await b.patch(session_id, set={"n": 2})
        two.clock.skip(3 * SECOND)
        gate.open()
        await asyncio.sleep(0)
        assert content(await a.get(session_id, ELSEWHERE)) == {"n": 2}


async def test_without_a_live_stream_copies_are_trusted_as_in_bounced() -> None:
    async with cluster(has_stream=True, max_idle_ms=0) as two:
        a, b = two.workers
        session_id = await a.new(n=1)
        a.link.plan("receive", unavailable, times=1_000_000)
        a.link.plan("watch", unavailable, times=1_000_000)
        await until(lambda: not is_live(a))
        await a.get(session_id)
        await b.patch(session_id, set={"n": 2})
        assert content(await a.get(session_id, Hint(1, "a"), is_access=False)) == {"n": 1}
        assert content(await a.get(session_id, ELSEWHERE, is_access=False)) == {"n": 2}


async def test_a_stream_that_comes_back_tells_what_it_missed() -> None:
    async with cluster(has_stream=True, max_idle_ms=0) as two:
        a, b = two.workers
        kept, changed = await a.new(n=1), await a.new(n=1)
        a.link.plan("receive", unavailable, times=2)
        a.link.plan("watch", unavailable, times=3)
        await until(lambda: not is_live(a))
        await b.patch(changed, set={"n": 2})
        await until(lambda: is_live(a))
        assert content(await a.get(changed, Hint(1, "a"))) == {"n": 2}
        a.link.calls.clear()
        assert (await a.get(kept, ELSEWHERE)).source is Source.HIT
        assert not questions(a)


async def test_it_is_not_live_before_it_has_told_what_it_missed() -> None:
    async with cluster(has_stream=True, max_idle_ms=0) as two:
        a, b = two.workers
        session_id = await a.new(n=1)
        a.link.plan("receive", unavailable)
        a.link.plan("watch", unavailable, times=8)
        await until(lambda: not is_live(a), 10)
        await b.patch(session_id, set={"n": 2})
        gate = Gate()
        a.link.plan("receive", gate.before)
        await gate.reached.wait()
        assert not is_live(a)
        gate.open()
        await until(lambda: is_live(a))
        assert content(await a.get(session_id, Hint(1, "a"))) == {"n": 2}


async def test_after_a_gap_every_copy_is_asked_for_once() -> None:
    async with cluster(has_stream=True, max_idle_ms=0) as two:
        a, b = two.workers
        kept, changed = await a.new(n=1), await a.new(n=1)
        await asyncio.sleep(20)
        a.link.plan("receive", lost)
        await until(lambda: a.core.counters.stream_losses > 0)
        await b.patch(changed, set={"n": 2})
        await until(lambda: is_live(a))
        a.link.calls.clear()
        assert (await a.get(kept, ELSEWHERE)).source is Source.REVALIDATED
        assert (await a.get(kept, ELSEWHERE)).source is Source.HIT
        assert content(await a.get(changed, ELSEWHERE)) == {"n": 2}
        assert questions(a) == 3


async def test_what_was_confirmed_before_the_stream_began_is_asked_for() -> None:
    async with cluster(staleness=Staleness.BOUNCED, max_idle_ms=0) as two:
        a, b = two.workers
        a.link.has_stream = True
        session_id = await a.new(n=1)
        await b.patch(session_id, set={"n": 2})
        a.follow(structs.replace(a.policy, staleness=Staleness.PUSHED))
        await until(lambda: is_live(a))
        assert content(await a.get(session_id, ELSEWHERE)) == {"n": 2}


@pytest.mark.parametrize("staleness", [each for each in Staleness if each is not Staleness.PUSHED])
async def test_other_policies_have_no_stream(staleness: Staleness) -> None:
    async with cluster(has_stream=True) as two:
        a, _ = two.workers
        a.follow(structs.replace(a.policy, staleness=staleness))
        await until(lambda: not is_live(a), 10)
        a.link.calls.clear()
        await asyncio.sleep(60)
        assert not a.link.calls["receive"] + a.link.calls["watch"]
        a.follow(structs.replace(a.policy, staleness=Staleness.PUSHED))
        await until(lambda: is_live(a))


async def test_without_a_cache_there_is_no_stream() -> None:
    async with cluster(cache_mode=CacheMode.DISABLED) as two:
        a, _ = two.workers
        a.link.has_stream = True
        a.follow(a.policy)
        await asyncio.sleep(60)
        assert not is_live(a)


async def test_a_stream_keeps_no_shutdown_waiting() -> None:
    async with cluster(has_stream=True) as two:
        a, _ = two.workers
        a.link.plan("receive", hanging)
        await asyncio.sleep(1)
        before = two.clock.monotonic()
        assert await a.close(8)
        assert two.clock.monotonic() - before < SECOND


async def test_what_is_unsaved_is_merged_with_a_change_that_was_told() -> None:
    async with cluster(has_stream=True, save_mode=SaveMode.PERIODIC) as two:
        a, b = two.workers
        session_id = await a.new(n=1)
        await a.patch(session_id, set={"mine": 1})
        await b.patch(session_id, set={"theirs": 1}, increment={"n": 1})
        await caught_up(two)
        assert content(await a.get(session_id, Hint(2, "b"))) == {"n": 2, "mine": 1, "theirs": 1}


async def test_what_is_unsaved_of_a_session_that_ended_is_lost_and_counted() -> None:
    async with cluster(has_stream=True, save_mode=SaveMode.SHUTDOWN) as two:
        a, b = two.workers
        session_id = await a.new()
        await a.patch(session_id, set={"mine": 1})
        await b.delete(session_id)
        await caught_up(two)
        assert (a.unsaved, a.core.counters.lost_changes) == (0, 1)


async def test_a_hint_is_never_disappointed_by_a_stream_that_lags() -> None:
    async with cluster(has_stream=True) as two:
        a, b = two.workers
        session_id = await a.new(n=1)
        gate = Gate()
        a.link.plan("receive", gate.before)
        await gate.reached.wait()
        served = await b.patch(session_id, set={"n": 2})
        assert content(await a.get(session_id, b.hint_of(served))) == {"n": 2}
        gate.open()


async def test_the_age_of_what_is_known_is_measured() -> None:
    async with cluster(has_stream=True) as two:
        a, b = two.workers
        served, session_id = await a.put(new_id(), set={"n": 1})
        await b.patch(session_id, b.hint_of(served), set={"n": 2})
        await caught_up(two)
        age = a.core.coverage.age_ms(a.core.clock.monotonic())
        assert age is not None
        assert 0 <= age <= SECOND
        assert a.core.counters.stream_events == 1


async def test_a_store_out_of_reach_serves_even_what_is_outdated() -> None:
    async with cluster(has_stream=True) as two:
        a, b = two.workers
        session_id = await a.new(n=1)
        await b.patch(session_id, set={"n": 2})
        await caught_up(two)
        await cut(a)
        assert content(await a.get(session_id, Hint(1, "a"))) == {"n": 1}
        with pytest.raises(StoreUnavailable):
            await a.get(session_id, Hint(2, "b"))
