"""Renew: a new id for the same session; of the old and the new exactly one is the session."""

import pytest
from moorline_api import SaveMode
from moorline_sidecar.domain.ids import Hint, new_id
from moorline_sidecar.domain.session import Reason
from moorline_sidecar.errors import (
    SessionEnded,
    SessionExists,
    SessionUnknown,
    TooLarge,
    VersionConflict,
)

from tests.sidecar.sessions.workers import MINUTE, T0, VIRTUAL_TIME, cluster, content

pytestmark = VIRTUAL_TIME


async def test_a_renewed_session_has_the_same_content_and_goes_on_counting() -> None:
    async with cluster(max_age_ms=10 * MINUTE) as two:
        a, b = two.workers
        old = await a.new(user="ada")
        await b.patch(old, context="/admin", set={"role": 1})
        await b.patch(old, principal="ada")
        two.clock.skip(MINUTE)
        served, new = await a.renewed(old)
        assert new != old
        assert content(served) == {"user": "ada"}
        session = await two.session(new)
        assert session.contexts == {"/": {"user": "ada"}, "/admin": {"role": 1}}
        assert session.principal == "ada"
        assert session.version == 4
        assert (session.created, session.deadline) == (T0, T0 + 10 * MINUTE)
        assert (session.last_accessed, session.accessed) == (T0, T0 + MINUTE)
        assert session.renew_of is None


async def test_the_old_id_becomes_a_tombstone_that_names_the_new_one() -> None:
    async with cluster() as two:
        a, _ = two.workers
        old = await a.new(user="ada")
        _, new = await a.renewed(old)
        tombstone = await two.tombstone(old)
        assert tombstone.reason is Reason.RENEWED
        assert tombstone.renewed_to == a.key_of(new)


async def test_a_change_is_applied_with_the_renew_and_not_to_the_old_session() -> None:
    async with cluster() as two:
        a, b = two.workers
        old = await a.new(user="guest")
        _, new = await a.renewed(old, set={"user": "ada"}, principal="ada")
        assert content(await b.get(new)) == {"user": "ada"}
        assert content(await b.get(old)) == {"user": "guest"}


async def test_a_renew_whose_change_is_refused_changes_nothing() -> None:
    async with cluster(max_session_bytes=100) as two:
        a, _ = two.workers
        old = await a.new(user="ada")
        with pytest.raises(TooLarge):
            await a.renewed(old, set={"text": "x" * 200})
        await two.session(old)
        assert await two.store.count() == 1


async def test_a_renew_that_names_another_version_shows_the_session_as_it_is() -> None:
    async with cluster() as two:
        a, b = two.workers
        old = await a.new(user="ada")
        await b.patch(old, set={"cart": 1})
        with pytest.raises(VersionConflict) as conflict:
            await a.renewed(old, Hint(1, "a"), if_match=1)
        assert conflict.value.current is a.copy_of(old)
        assert (await two.session(old)).version == 2


async def test_a_renew_judges_its_version_by_what_is_stored_not_by_a_stale_copy() -> None:
    async with cluster() as two:
        a, b = two.workers
        old = await a.new(user="ada")
        await b.patch(old, set={"cart": 1})
        _, new = await a.renewed(old, Hint(1, "a"), if_match=2)
        assert (await two.session(new)).version == 3


async def test_a_named_id_that_is_taken_is_refused() -> None:
    async with cluster() as two:
        a, _ = two.workers
        old, taken = await a.new(user="ada"), await a.new(user="bob")
        with pytest.raises(SessionExists):
            await a.renewed(old, new_id=taken)
        assert content(await a.get(old)) == {"user": "ada"}
        assert content(await a.get(taken)) == {"user": "bob"}


@pytest.mark.parametrize("repeated_on", [0, 1], ids=["the same worker", "another worker"])
@pytest.mark.parametrize("how", ["named", "key"])
async def test_a_repeated_renew_gives_the_same_new_session(how: str, repeated_on: int) -> None:
    async with cluster() as two:
        old = await two.workers[0].new(n=0)
        named = new_id() if how == "named" else None
        ids = set()
        for place in (0, repeated_on, repeated_on):
            worker = two.workers[place]
            if named is None:
                _, new = await worker.renewed(old, key="once", increment={"n": 1})
            else:
                _, new = await worker.renewed(old, new_id=named, increment={"n": 1})
            ids.add(new)
        (new,) = ids
        assert content(await two.workers[0].get(new)) == {"n": 1}


async def test_a_repeated_renew_of_a_session_that_has_ended_since_is_refused() -> None:
    async with cluster() as two:
        a, b = two.workers
        old = await a.new()
        _, new = await a.renewed(old, key="once")
        await a.delete(new)
        for worker in (a, b):
            with pytest.raises(SessionEnded):
                await worker.renewed(old, key="once")


@pytest.mark.parametrize("mode", [SaveMode.COMPLETE, SaveMode.PERIODIC, SaveMode.SHUTDOWN])
async def test_what_is_unsaved_comes_along(mode: SaveMode) -> None:
    async with cluster(save_mode=mode) as two:
        a, b = two.workers
        old = await a.new(user="ada")
        await a.patch(old, set={"cart": 1})
        _, new = await a.renewed(old)
        assert content(await b.get(new)) == {"user": "ada", "cart": 1}


async def test_an_unknown_session_cannot_be_renewed() -> None:
    async with cluster() as two:
        with pytest.raises(SessionUnknown):
            await two.workers[0].renewed(new_id())
        assert await two.store.count() == 0
