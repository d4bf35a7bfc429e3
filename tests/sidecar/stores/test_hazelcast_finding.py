"""What is found in a map: bounded, however much there is of it."""

from collections.abc import AsyncIterator

import pytest
from hazelcast.core import HazelcastJsonValue
from moorline_sidecar.stores import hazelcast_finding
from moorline_sidecar.stores.base import Purge, PurgeKind
from moorline_sidecar.stores.hazelcast import HazelcastStore
from moorline_sidecar.stores.json_records import text_of

from e2e.app.hazelcast import HazelcastMember
from tests.contract.backends import map_store
from tests.contract.sessions import T0, a_session, an_end
from tests.sidecar.stores.hazelcast_raw import raw_map

MANY = 400


@pytest.fixture
async def store(hazelcast: HazelcastMember, mongo_collection: str) -> AsyncIterator[HazelcastStore]:
    store = map_store(hazelcast.uri, mongo_collection)
    await store.prepare()
    yield store
    await store.close()


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    """The most rows that a query answers."""
    monkeypatch.setattr(hazelcast_finding, "ROWS_MAX", 20)
    return hazelcast_finding.ROWS_MAX


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    "expiry",
    [
        pytest.param(lambda n: T0 + n, id="evenly spread"),
        pytest.param(lambda n: T0 + n**3, id="most of them long ago"),
        pytest.param(lambda n: T0 + 10**9 - n**3, id="most of them just now"),
        pytest.param(lambda n: T0 + n // 5, id="some at the same time"),
        pytest.param(lambda n: T0 + 1000 * (n // 50), id="many at the same time"),
    ],
)
async def test_of_many_that_expired_the_oldest_are_found_first(
    hazelcast: HazelcastMember, store: HazelcastStore, mongo_collection: str, expiry: object
) -> None:
    assert callable(expiry)
    expiries = {f"{n:03d}": expiry(n) for n in range(MANY)}
    async with raw_map(hazelcast, mongo_collection) as raw:
        await raw.put_all(
            {
                key: HazelcastJsonValue(text_of(a_session(key, expiry=at)))
                for key, at in expiries.items()
            }
        )

    found = await store.expired(T0 + 10**10, 12)

    assert [each.access.expiry for each in found] == sorted(expiries.values())[: len(found)]
    assert 0 < len(found) <= 12


@pytest.mark.usefixtures("few")
async def test_many_are_purged_to_the_last(store: HazelcastStore) -> None:
    for n in range(100):
        await store.insert(a_session(str(n)))
    await store.write([an_end(str(n), now=T0 + n // 7) for n in range(99)])
    purge = Purge(kind=PurgeKind.INVALID, before=T0 + 50, now=T0 + 50)

    batches = []
    while deleted := await store.purge(purge, 7):
        batches.append(deleted)

    assert (sum(batches), max(batches)) == (99, 7)
    assert await store.count() == 1
