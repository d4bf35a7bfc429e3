"""The sessions of one principal: listed by handle, and ended together."""

import pytest
from moorline_sidecar.domain.ids import handle_of
from moorline_sidecar.domain.session import Reason
from moorline_sidecar.errors import (
    SessionEnded,
)

from tests.sidecar.sessions.faults import Operation
from tests.sidecar.sessions.workers import (
    HOUR,
    VIRTUAL_TIME,
    cluster,
    keys_of,
    living,
    login,
)

pytestmark = VIRTUAL_TIME


@pytest.mark.parametrize("limit", [1, 3, 7, 10, 100])
async def test_a_listing_shows_every_session_once_whatever_the_size_of_its_pages(
    limit: int,
) -> None:
    async with cluster() as two:
        a, b = two.workers
        ids = [await login((a, b)[n % 2]) for n in range(10)]
        await login(a, "bob")
        listed = await keys_of(b, limit=limit)
        assert sorted(listed) == sorted(map(a.key_of, ids))


async def test_the_next_page_starts_behind_a_session_that_has_ended_meanwhile() -> None:
    async with cluster() as two:
        a, _ = two.workers
        for _ in range(10):
            await login(a)
        first = await a.principals.page("ada", None, 5)
        last = first.summaries[-1].key
        assert first.next == handle_of(last)
        await a.invalidate(last)
        second = await a.principals.page("ada", first.next, 5)
        seen = {summary.key for summary in first.summaries + second.summaries}
        assert len(seen) == 10


async def test_a_listing_shows_neither_ended_nor_expired_nor_renewed_sessions() -> None:
    async with cluster() as two:
        a, _ = two.workers
        expired = await login(a)
        two.clock.skip(HOUR)
        ended, old = await login(a), await login(a)
        await a.delete(ended)
        _, new = await a.renewed(old)
        assert await keys_of(a) == [a.key_of(new)]
        await two.session(expired)


async def test_a_principal_can_be_set_changed_and_taken_away() -> None:
    async with cluster() as two:
        a, b = two.workers
        session_id = await a.new()
        await a.patch(session_id, principal="ada")
        assert await keys_of(b) == [a.key_of(session_id)]
        await b.patch(session_id, principal="bob")
        assert await keys_of(a) == []
        assert await keys_of(a, "bob") == [a.key_of(session_id)]
        await a.patch(session_id, principal=None)
        assert await keys_of(b, "bob") == []


async def test_logging_out_everywhere_ends_the_sessions_of_this_principal_alone() -> None:
    async with cluster() as two:
        a, b = two.workers
        ids = [await login((a, b)[n % 2]) for n in range(6)]
        other = await login(a, "bob")
        assert await b.principals.end_all("ada", handle=None, kept=None) == 6
        for session_id in ids:
            assert (await two.tombstone(session_id)).reason is Reason.ADMIN
            with pytest.raises(SessionEnded):
                await b.get(session_id)
        await a.get(other)


async def test_one_session_can_be_kept() -> None:
    async with cluster() as two:
        a, b = two.workers
        ids = [await login(a) for _ in range(5)]
        assert await b.principals.end_all("ada", handle=None, kept=a.key_of(ids[2])) == 4
        assert await living(two, ids) == [ids[2]]


async def test_one_session_can_be_ended_by_its_handle() -> None:
    async with cluster() as two:
        a, b = two.workers
        ids = [await login(a) for _ in range(5)]
        handle = handle_of(a.key_of(ids[3]))
        assert await b.principals.end_all("ada", handle=handle, kept=None) == 1
        assert await living(two, ids) == ids[:3] + ids[4:]


async def test_sessions_renewed_meanwhile_end_too() -> None:
    async with cluster() as two:
        a, b = two.workers
        ids = [await login(a) for _ in range(3)]
        two.clock.skip(1)

        async def renewed_meanwhile(operation: Operation) -> object:
            found = await operation()
            ids.append((await b.renewed(ids[0]))[1])
            return found

        a.link.plan("by_principal", renewed_meanwhile)
        await a.principals.end_all("ada", handle=None, kept=None)
        assert await living(two, ids) == []


async def test_a_session_that_began_after_the_call_is_spared() -> None:
    async with cluster() as two:
        a, b = two.workers
        await login(a)
        late = []

        async def login_meanwhile(operation: Operation) -> object:
            two.clock.skip(1)
            late.append(await login(b))
            return await operation()

        a.link.plan("by_principal", login_meanwhile)
        assert await a.principals.end_all("ada", handle=None, kept=None) == 1
        assert await living(two, late) == late


async def test_the_kept_session_is_kept_under_the_id_it_is_renewed_to_meanwhile() -> None:
    async with cluster() as two:
        a, b = two.workers
        kept, _ = await login(a), await login(a)
        two.clock.skip(1)
        new = []

        async def renewed_meanwhile(operation: Operation) -> object:
            new.append((await b.renewed(kept))[1])
            return await operation()

        a.link.plan("by_principal", renewed_meanwhile)
        await a.principals.end_all("ada", handle=None, kept=a.key_of(kept))
        assert await living(two, new) == new
