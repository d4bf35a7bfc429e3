import asyncio

import pytest
from moorline_sidecar.domain.session import Reason
from moorline_sidecar.stores.base import Purge, PurgeKind, SessionStore

from tests.contract.sessions import T0, a_touch, an_end, inserted, stored, written

OLD_TOMBSTONES = Purge(kind=PurgeKind.INVALID, before=T0, now=T0 + 100)
OLD_SESSIONS = Purge(kind=PurgeKind.VALID, before=T0, now=T0 + 100)


async def ended(store: SessionStore, key: str, **fields: object) -> None:
    await inserted(store, key)
    await written(store, an_end(key, **fields))


async def test_old_tombstones_are_purged(store: SessionStore) -> None:
    await ended(store, "old", now=T0 - 1)
    await ended(store, "old, renewed", now=T0 - 1, reason=Reason.RENEWED, grace_until=T0 + 9)
    await ended(store, "young", now=T0)
    await inserted(store, "alive", accessed=T0 - 1, expiry=T0 - 1)

    assert await store.purgeable(OLD_TOMBSTONES, 0) == 2
    assert await store.purge(OLD_TOMBSTONES, 10) == 2

    assert (await store.load(["old", "old, renewed", "young", "alive"])).keys() == {
        "young",
        "alive",
    }
    assert await store.purge(OLD_TOMBSTONES, 10) == 0


async def test_sessions_that_nobody_uses_and_nobody_ended_are_purged(store: SessionStore) -> None:
    await inserted(store, "forgotten", accessed=T0 - 1, expiry=T0 + 99)
    await inserted(store, "without expiry", accessed=T0 - 1, expiry=None, max_idle_ms=0)
    await inserted(store, "a copy", accessed=T0 - 1, expiry=T0 + 99, renew_of="origin")
    await inserted(store, "still alive", accessed=T0 - 1, expiry=T0 + 101)
    await inserted(store, "in use", accessed=T0, expiry=T0 + 99)
    await ended(store, "ended", now=T0 - 1)

    assert await store.purgeable(OLD_SESSIONS, 0) == 3
    assert await store.purge(OLD_SESSIONS, 10) == 3

    keys = ["forgotten", "without expiry", "a copy", "still alive", "in use", "ended"]
    assert (await store.load(keys)).keys() == {"still alive", "in use", "ended"}
    assert await store.purge(OLD_SESSIONS, 10) == 0


async def test_an_access_saves_from_the_purge(store: SessionStore) -> None:
    session = await inserted(store, accessed=T0 - 1, expiry=T0 - 1)
    await store.touch([a_touch(session, T0)])

    assert await store.purge(OLD_SESSIONS, 10) == 0
    assert await stored(store) is not None


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
async def test_a_purge_goes_on_until_none_is_left(store: SessionStore, limit: int) -> None:
    for n in range(7):
        await ended(store, str(n), now=T0 - 1)

    assert await store.purgeable(OLD_TOMBSTONES, limit) == min(limit, 7)
    deleted = []
    while batch := await store.purge(OLD_TOMBSTONES, limit):
        deleted.append(batch)

    assert sum(deleted) == 7
    assert max(deleted) <= limit
    assert await store.count() == 0


async def test_purges_at_the_same_time_delete_everything_once(
    store: SessionStore, other: SessionStore
) -> None:
    for n in range(40):
        await ended(store, str(n), now=T0 - 1)

    async def purge_all(through: SessionStore) -> int:
        total = 0
        while batch := await through.purge(OLD_TOMBSTONES, 5):
            total += batch
        return total

    totals = await asyncio.gather(purge_all(store), purge_all(other))

    assert sum(totals) == 40
    assert await store.count() == 0


async def test_counting_what_would_be_purged_deletes_nothing(store: SessionStore) -> None:
    await ended(store, "old", now=T0 - 1)

    assert await store.purgeable(OLD_TOMBSTONES, 0) == 1
    assert await store.purgeable(OLD_SESSIONS, 0) == 0

    assert await store.count() == 1
