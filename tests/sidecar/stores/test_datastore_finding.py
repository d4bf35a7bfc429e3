"""What is found in Datastore: over as many answers of the server as it takes."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from moorline_sidecar.stores.base import Purge, PurgeKind
from moorline_sidecar.stores.datastore import DatastoreStore

from e2e.app.datastore import DatastoreServer
from tests.contract.backends import entity_store
from tests.contract.sessions import T0, a_session, an_end

MANY = 50
"""More than the server answers at once."""


@pytest.fixture
async def store(datastore: DatastoreServer, mongo_collection: str) -> AsyncIterator[DatastoreStore]:
    store = entity_store(datastore.uri, mongo_collection)
    yield store
    await store.close()


async def test_of_many_that_expired_the_oldest_are_found_first(store: DatastoreStore) -> None:
    expiries = {f"{n:03d}": T0 + n * 7 % MANY for n in range(MANY)}
    for key, expiry in expiries.items():
        await store.insert(a_session(key, expiry=expiry))

    found = await store.expired(T0 + MANY - 2, MANY - 10)

    assert [each.access.expiry for each in found] == sorted(expiries.values())[: MANY - 10]


async def test_many_sessions_of_a_principal_are_listed_by_key(store: DatastoreStore) -> None:
    keys = [f"{n:03d}" for n in range(MANY)]
    await asyncio.gather(*(store.insert(a_session(key, principal="ada")) for key in keys))

    first = await store.by_principal("ada", None, MANY - 5)
    rest = await store.by_principal("ada", first[-1].key, MANY)

    assert [each.key for each in (*first, *rest)] == keys


async def test_many_are_purged_to_the_last_and_those_in_use_are_passed_over(
    store: DatastoreStore,
) -> None:
    await asyncio.gather(*(store.insert(a_session(str(n), expiry=T0)) for n in range(MANY)))
    await store.write([an_end(str(n), now=T0 + n // 7) for n in range(MANY - 1)])
    in_use = [a_session(f"long-{n}", expiry=T0 + 10**9) for n in range(30)]
    await asyncio.gather(*(store.insert(session) for session in in_use))
    ended = Purge(kind=PurgeKind.INVALID, before=T0 + MANY, now=T0 + MANY)
    unused = Purge(kind=PurgeKind.VALID, before=T0 + MANY, now=T0 + MANY)

    assert await store.purgeable(ended, 0) == MANY - 1
    assert await store.purgeable(ended, 7) == 7
    batches = []
    while deleted := await store.purge(ended, 7):
        batches.append(deleted)

    assert (sum(batches), max(batches)) == (MANY - 1, 7)
    assert await store.purgeable(unused, 0) == 1
    assert await store.purge(unused, 0) == 1
    assert await store.count() == 30
