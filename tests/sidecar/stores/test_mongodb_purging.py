"""A purge without a limit goes back in time, and leaves nothing that is due."""

from collections.abc import AsyncIterator, Sequence

import pytest
from moorline_sidecar.errors import OutcomeUnknown
from moorline_sidecar.stores.base import Purge, PurgeKind
from moorline_sidecar.stores.connection import FixedSource
from moorline_sidecar.stores.mongodb import MongoStore
from moorline_sidecar.stores.mongodb_client import Connection
from moorline_sidecar.stores.mongodb_purging import FIRST_MS, KEYS_MAX, MANY, WIDEST_MS, Purger

from tests.contract.backends import DATABASE
from tests.contract.sessions import T0, an_end, inserted, written
from tests.sidecar.stores.fail_points import FailPoints

DUE = Purge(kind=PurgeKind.INVALID, before=T0, now=T0)
FORGOTTEN = Purge(kind=PurgeKind.VALID, before=T0, now=T0)
HOUR = 3_600_000
AGES = {
    "none": [],
    "at one moment": [HOUR] * 5,
    "at the edges of windows": [1, FIRST_MS, FIRST_MS + 1, 5 * FIRST_MS, 5 * FIRST_MS + 1],
    "with gaps": [1, 40 * WIDEST_MS, 400 * WIDEST_MS],
}
ages = pytest.mark.parametrize("ages", AGES.values(), ids=AGES.keys())


@pytest.fixture(params=[0, MANY], ids=["by windows", "all at once"])
async def store(
    request: pytest.FixtureRequest, mongo_uri: str, mongo_collection: str
) -> AsyncIterator[MongoStore]:
    connection = Connection(FixedSource(mongo_uri))
    store = MongoStore(connection, DATABASE, mongo_collection, purger=Purger(request.param))
    await store.prepare()
    yield store
    await store.close()


async def ended(store: MongoStore, ages: Sequence[int]) -> None:
    for number, age in enumerate(ages):
        await inserted(store, str(number))
        await written(store, an_end(str(number), now=T0 - age))
    await inserted(store, "young")
    await written(store, an_end("young", now=T0))


async def purged(store: MongoStore, purge: Purge) -> int:
    total = 0
    while deleted := await store.purge(purge, 0):
        total += deleted
    return total


@ages
async def test_all_tombstones_that_are_due_are_deleted(
    store: MongoStore, ages: Sequence[int]
) -> None:
    await ended(store, ages)

    assert await purged(store, DUE) == len(ages)
    assert await store.count() == 1
    assert await purged(store, DUE) == 0


@ages
async def test_all_forgotten_sessions_are_deleted(store: MongoStore, ages: Sequence[int]) -> None:
    for number, age in enumerate(ages):
        await inserted(store, str(number), accessed=T0 - age, expiry=T0 - age)
        await inserted(store, f"alive {number}", accessed=T0 - age, expiry=T0 + 1)

    assert await purged(store, FORGOTTEN) == len(ages)
    assert await store.count() == len(ages)


async def test_what_is_due_after_all_is_found_by_the_same_purge(store: MongoStore) -> None:
    await ended(store, [WIDEST_MS])
    assert await store.purge(DUE, 0) == 1
    await inserted(store, "late")
    await written(store, an_end("late", now=T0 - 1))

    assert await purged(store, DUE) == 1


async def test_after_a_failure_a_window_is_deleted_in_small_steps(
    store: MongoStore, fail: FailPoints
) -> None:
    await ended(store, [1, 2, 3, 2 * HOUR])
    await fail.next("delete", errorCode=50)
    with pytest.raises(OutcomeUnknown):
        await store.purge(DUE, 0)

    assert await store.purge(DUE, 0) == 3
    assert await purged(store, DUE) == 1


async def test_a_limit_above_the_keys_of_one_condition_is_kept(store: MongoStore) -> None:
    await ended(store, [1] * (KEYS_MAX + 20))

    assert await store.purge(DUE, KEYS_MAX + 5) == KEYS_MAX + 5
    assert await store.purge(DUE, KEYS_MAX + 5) == 15
