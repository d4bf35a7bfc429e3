"""What a Datastore store answers when a call goes wrong: perhaps applied, or surely not."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final

import pytest
from moorline_sidecar.errors import OutcomeUnknown, StoreUnavailable, TooLarge
from moorline_sidecar.stores.base import Outcome
from moorline_sidecar.stores.datastore import DatastoreStore

from e2e.app.datastore import DatastoreServer
from tests.contract.backends import entity_store
from tests.contract.sessions import stored, with_attributes
from tests.lossy_link import LossyLink, lossy_link
from tests.sidecar.stores import failing
from tests.sidecar.stores.crashes import until_it_answers
from tests.sidecar.stores.failing import NEW, PURGE, SESSIONS, TO_BE, WRITES, Lose, fill
from tests.sidecar.stores.losing_server import LosingServer, losing_server
from tests.sidecar.stores.network_faults import *  # noqa: F403 - tests, collected here

# What only the request to change something holds.
HOLDS: Final = {
    "insert": b"by the insert",
    "one change": b"to be",
    "an end": b'"reason":"logout"',
    "many": b"to be",
    "touch": b"node7",
}


@pytest.fixture
async def store(datastore: DatastoreServer, mongo_collection: str) -> AsyncIterator[DatastoreStore]:
    store = entity_store(datastore.uri, mongo_collection)
    yield store
    await store.close()


@pytest.fixture
async def link(datastore: DatastoreServer) -> AsyncIterator[LossyLink]:
    async with lossy_link(datastore.uri) as link:
        yield link


@pytest.fixture
async def linked(link: LossyLink, mongo_collection: str) -> AsyncIterator[DatastoreStore]:
    """The same data as `store`, over the link."""
    store = entity_store(f"datastore://127.0.0.1:{link.port}", mongo_collection)
    await until_it_answers(store)
    yield store
    await store.close()


@pytest.fixture
async def losing(datastore: DatastoreServer) -> AsyncIterator[LosingServer]:
    async with losing_server(datastore.address) as losing:
        yield losing


@pytest.fixture
async def unlucky(losing: LosingServer, mongo_collection: str) -> AsyncIterator[DatastoreStore]:
    """The same data as `store`, by way of a server that loses answers."""
    store = entity_store(f"datastore://{losing.address}", mongo_collection)
    yield store
    await store.close()


@pytest.fixture
def lose(losing: LosingServer) -> Lose:
    return losing.lose_answer_after


@pytest.mark.parametrize(("name", "holds"), HOLDS.items(), ids=HOLDS.keys())
async def test_a_write_whose_answer_was_lost_may_have_been_applied(
    store: DatastoreStore, unlucky: DatastoreStore, lose: Lose, name: str, holds: bytes
) -> None:
    await failing.check_lost_answer(store, unlucky, WRITES[name], lose, holds)


async def test_a_call_that_gets_no_answer_ends_in_time_and_tells_what_it_may_have_done(
    store: DatastoreStore, linked: DatastoreStore, link: LossyLink
) -> None:
    found = await failing.unanswered(store, linked, link)

    # All the others have to read first, and had sent nothing yet.
    assert found == {
        name: OutcomeUnknown if name == "insert" else StoreUnavailable for name in found
    }


async def test_whoever_may_wait_longer_is_left_alone_when_others_give_a_connection_up(
    store: DatastoreStore, linked: DatastoreStore, link: LossyLink
) -> None:
    await fill(store)
    link.stall()
    patient = asyncio.create_task(linked.purgeable(PURGE, 10))
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await linked.load(["0"])
    assert not patient.done()

    await link.close()
    await link.open()

    assert await patient == 0


async def test_a_frozen_server_is_given_up_in_time_and_served_from_again(
    datastore: DatastoreServer, store: DatastoreStore
) -> None:
    await fill(store)
    with failing.frozen(datastore):
        began = time.monotonic()
        results = await asyncio.gather(store.load(["0"]), store.insert(NEW), return_exceptions=True)
        # On a connection of its own, which nobody greets.
        with pytest.raises(StoreUnavailable):
            await store.load(["0"])
        seconds = time.monotonic() - began

    assert [type(result) for result in results] == [StoreUnavailable, OutcomeUnknown]
    assert seconds < 15
    await until_it_answers(store)
    assert await stored(store, "0") == SESSIONS[0]


async def test_what_datastore_would_not_take_is_told_as_too_large(store: DatastoreStore) -> None:
    large = {"large": "x" * (1 << 20)}
    await fill(store)

    with pytest.raises(TooLarge):
        await store.insert(with_attributes(NEW, large).after)
    outcomes = await store.write(
        [with_attributes(SESSIONS[0], large), with_attributes(SESSIONS[1], TO_BE)]
    )

    assert outcomes == [Outcome.TOO_LARGE, Outcome.APPLIED]
    assert await stored(store, "0") == SESSIONS[0]
