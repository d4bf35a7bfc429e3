"""When a copy is served without asking, and that a carried hint is never disappointed."""

import asyncio
import random

import pytest
from moorline_api import CacheMode, Staleness
from moorline_sidecar.domain.ids import Hint, new_id
from moorline_sidecar.domain.session import Reason
from moorline_sidecar.errors import SessionEnded, SessionUnknown
from moorline_sidecar.sessions.finding import Source
from moorline_sidecar.stores.base import End, Purge, PurgeKind

from tests.sidecar.sessions.faults import Gate
from tests.sidecar.sessions.workers import SECOND, VIRTUAL_TIME, Worker, cluster, content

pytestmark = VIRTUAL_TIME

GUARANTEEING = [Staleness.PUSHED, Staleness.BOUNCED, Staleness.ALWAYS]
AS_BOUNCED = [Staleness.PUSHED, Staleness.BOUNCED]

MINE, OTHERS, SUFFIX, AHEAD = Hint(1, "a"), Hint(1, "b"), Hint(0, "a"), Hint(2, "a")

SERVED = [
    # staleness, hint, milliseconds since the copy was confirmed
    (Staleness.BOUNCED, MINE, 0),
    (Staleness.BOUNCED, MINE, 9_999),
    (Staleness.BOUNCED, SUFFIX, 9_999),
    (Staleness.PUSHED, MINE, 9_999),
    (Staleness.PERIODIC, None, 9_999),
    (Staleness.PERIODIC, OTHERS, 9_999),
    (Staleness.NEVER, None, 3_600_000),
    (Staleness.NEVER, OTHERS, 3_600_000),
]
ASKED = [
    (Staleness.BOUNCED, None, 0),
    (Staleness.BOUNCED, OTHERS, 0),
    (Staleness.BOUNCED, AHEAD, 0),
    (Staleness.BOUNCED, MINE, 10_000),
    (Staleness.PUSHED, None, 0),
    (Staleness.PUSHED, OTHERS, 0),
    (Staleness.PUSHED, MINE, 10_000),
    (Staleness.PERIODIC, None, 10_000),
    (Staleness.PERIODIC, AHEAD, 0),
    (Staleness.NEVER, AHEAD, 0),
    (Staleness.ALWAYS, MINE, 0),
    (Staleness.ALWAYS, None, 0),
]


def questions(worker: Worker) -> int:
    return worker.link.calls["load"] + worker.link.calls["confirm"]


@pytest.mark.parametrize(("staleness", "hint", "age_ms"), SERVED)
async def test_a_copy_is_served_without_asking(
    staleness: Staleness, hint: Hint | None, age_ms: int
) -> None:
    async with cluster(staleness=staleness, max_idle_ms=0) as two:
        a, b = two.workers
        session_id = await a.new(n=1)
        await b.patch(session_id, set={"n": 2})
        two.clock.skip(age_ms)
        served = await a.get(session_id, hint, is_access=False)
        assert served.source is Source.HIT
        assert content(served) == {"n": 1}
        assert not questions(a)


@pytest.mark.parametrize(("staleness", "hint", "age_ms"), ASKED)
async def test_the_store_is_asked(staleness: Staleness, hint: Hint | None, age_ms: int) -> None:
    async with cluster(staleness=staleness, max_idle_ms=0) as two:
        a, b = two.workers
        session_id = await a.new(n=1)
        await b.patch(session_id, set={"n": 2})
        two.clock.skip(age_ms)
        served = await a.get(session_id, hint, is_access=False)
        assert served.source is Source.MISS
        assert content(served) == {"n": 2}
        assert questions(a)


async def test_asking_compares_versions_and_loads_only_what_differs() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = await a.new(n=1)
        assert (await a.get(session_id)).source is Source.REVALIDATED
        assert a.link.loaded == []
        await b.patch(session_id, set={"n": 2})
        assert (await a.get(session_id)).source is Source.MISS
        assert len(a.link.loaded) == 1


@pytest.mark.parametrize("staleness", AS_BOUNCED)
async def test_asking_confirms_a_copy_for_as_long_as_it_is_trusted(staleness: Staleness) -> None:
    async with cluster(staleness=staleness) as two:
        a, _ = two.workers
        session_id = await a.new()
        for _ in range(3):
            two.clock.skip(10 * SECOND)
            assert (await a.get(session_id, MINE)).source is Source.REVALIDATED
            two.clock.skip(9 * SECOND)
            assert (await a.get(session_id, MINE)).source is Source.HIT
            two.clock.skip(SECOND)


async def test_a_copy_counts_as_confirmed_from_when_the_store_was_asked() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = await a.new(n=1)
        gate = Gate()
        a.link.plan("confirm", gate.after)
        asking = asyncio.create_task(a.get(session_id))
        await gate.reached.wait()
        await b.patch(session_id, set={"n": 2})
        two.clock.skip(2 * SECOND)
        gate.open()
        await asking
        two.clock.skip(8 * SECOND)
        assert content(await a.get(session_id, MINE)) == {"n": 2}


@pytest.mark.parametrize("staleness", list(Staleness))
@pytest.mark.parametrize("hint", [Hint(999, "a"), Hint(999, "b"), Hint(10**17, "x")])
async def test_the_store_overrides_a_hint_that_is_higher_than_anything_stored(
    staleness: Staleness, hint: Hint
) -> None:
    async with cluster(staleness=staleness) as two:
        session_id = await two.workers[0].new(user="ada")
        for worker in two.workers:
            served = await worker.get(session_id, hint)
            stored = await two.session(session_id)
            assert content(served) == stored.contexts["/"]
            assert served.entry.stored.version == stored.version
            served = await worker.patch(session_id, hint, increment={"n": 1})
            assert served.entry.stored.version == stored.version + 1


@pytest.mark.parametrize("staleness", AS_BOUNCED)
async def test_an_end_reaches_every_copy_within_the_time_a_copy_is_trusted(
    staleness: Staleness,
) -> None:
    async with cluster(staleness=staleness) as two:
        a, b = two.workers
        session_id = await a.new()
        await b.delete(session_id)
        two.clock.skip(10 * SECOND)
        with pytest.raises(SessionEnded):
            await a.get(session_id, MINE)


@pytest.mark.parametrize("staleness", GUARANTEEING)
@pytest.mark.parametrize("mode", list(CacheMode))
@pytest.mark.parametrize("seed", range(3))
async def test_a_carried_hint_shows_at_least_what_its_answer_had_seen(
    staleness: Staleness, mode: CacheMode, seed: int
) -> None:
    chance = random.Random(seed)
    async with cluster("a", "b", "c", staleness=staleness, cache_mode=mode) as three:
        worker = three.workers[0]
        served, session_id = await worker.put(new_id(), set={"n": 0})
        for n in range(1, 200):
            hint = worker.hint_of(served)
            worker = chance.choice(three.workers)
            seen = await worker.get(session_id, hint)
            assert content(seen)["n"] == n - 1
            assert seen.entry.stored.version >= hint.version
            worker = chance.choice(three.workers)
            served = await worker.patch(session_id, worker.hint_of(seen), set={"n": n})
            two_clients = chance.choice(three.workers)
            await two_clients.patch(session_id, set={"other": n})
            three.clock.skip(chance.choice([0, 100, 5 * SECOND]))


@pytest.mark.parametrize("staleness", GUARANTEEING)
async def test_a_hint_of_a_renew_finds_the_new_session_on_every_worker(
    staleness: Staleness,
) -> None:
    async with cluster(staleness=staleness) as two:
        a, b = two.workers
        session_id = await a.new(user="ada")
        for worker, other in ((a, b), (b, a), (a, b)):
            served, session_id = await worker.renewed(session_id)
            hint = worker.hint_of(served)
            assert content(await other.get(session_id, hint)) == {"user": "ada"}


async def test_a_purged_session_is_unknown_once_asked_for() -> None:
    async with cluster() as two:
        a, _ = two.workers
        session_id = await a.new()
        await two.store.close()
        with pytest.raises(SessionUnknown):
            await a.get(session_id)
        assert a.copy_of(session_id) is None


async def test_a_copy_from_before_a_purge_is_not_taken_for_the_session_made_anew() -> None:
    async with cluster() as two:
        a, b = two.workers
        old, gone = await a.new(n="old"), await a.new(n="old")
        now = two.clock.now()
        for session_id in (old, gone):
            end = End(key=a.key_of(session_id), write_id="", now=now, reason=Reason.ADMIN)
            await two.store.write([end])
        purge = Purge(kind=PurgeKind.INVALID, before=now + 1, now=now)
        assert await two.store.purge(purge, 0) == 2
        for session_id in (old, gone):
            await b.put(session_id, set={"n": "new"})
        two.clock.skip(SECOND)

        assert content(await a.get(gone, is_access=False)) == {"n": "new"}
        await a.patch(old, set={"late": True})
        assert content(await b.get(old)) == {"n": "new", "late": True}
