"""What a Hazelcast store answers when a call goes wrong: perhaps applied, or surely not."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final

import pytest
from hazelcast.core import HazelcastJsonValue
from moorline_sidecar.errors import AlreadyExists, OutcomeUnknown, StoreUnavailable
from moorline_sidecar.stores.base import Outcome
from moorline_sidecar.stores.hazelcast import HazelcastStore

from e2e.app.hazelcast import GUARDED, HazelcastMember
from tests.contract.backends import map_store
from tests.contract.sessions import (
    a_session,
    an_end,
    stored,
    with_attributes,
    written,
)
from tests.lossy_link import LossyLink, lossy_link
from tests.sidecar.stores import failing
from tests.sidecar.stores.crashes import until_it_answers
from tests.sidecar.stores.failing import NEW, SESSIONS, TO_BE, WRITES, fill
from tests.sidecar.stores.hazelcast_raw import raw_map
from tests.sidecar.stores.network_faults import *  # noqa: F403 - tests, collected here

# What only the request to change something holds.
HOLDS: Final = {
    "insert": b"by the insert",
    "one change": b"to be",
    "an end": b'"reason":"logout"',
    "many": b"to be",
    "touch": b"node7",
    "settle": b'"renewOf":"origin"',
    "discard": b'"renewOf":"origin"',
}


@pytest.fixture
async def store(hazelcast: HazelcastMember, mongo_collection: str) -> AsyncIterator[HazelcastStore]:
    store = map_store(hazelcast.uri, mongo_collection)
    await store.prepare()
    yield store
    await store.close()


@pytest.fixture
async def link(hazelcast: HazelcastMember) -> AsyncIterator[LossyLink]:
    async with lossy_link(hazelcast.uri) as link:
        yield link


@pytest.fixture
async def linked(link: LossyLink, mongo_collection: str) -> AsyncIterator[HazelcastStore]:
    """The same data as `store`, over the link."""
    store = map_store(f"hazelcast://127.0.0.1:{link.port}", mongo_collection)
    await store.now()
    yield store
    await store.close()


@pytest.mark.parametrize(("name", "holds"), HOLDS.items(), ids=HOLDS.keys())
async def test_a_write_whose_answer_was_lost_may_have_been_applied(
    store: HazelcastStore, linked: HazelcastStore, link: LossyLink, name: str, holds: bytes
) -> None:
    await failing.check_lost_answer(store, linked, WRITES[name], link.lose_answer_after, holds)


async def test_a_call_that_gets_no_answer_ends_in_time_and_tells_what_it_may_have_done(
    store: HazelcastStore, linked: HazelcastStore, link: LossyLink
) -> None:
    found = await failing.unanswered(store, linked, link)

    # What has to read, or to be announced, first had sent nothing yet.
    assert found == {
        name: OutcomeUnknown if name == "insert" else StoreUnavailable for name in found
    }


async def test_a_frozen_member_is_given_up_in_time_and_served_from_again(
    hazelcast: HazelcastMember, store: HazelcastStore
) -> None:
    await fill(store)
    with failing.frozen(hazelcast):
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await store.load(["0"])
        with pytest.raises(OutcomeUnknown):
            await store.insert(NEW)
        # It was not even announced.
        with pytest.raises(StoreUnavailable):
            await store.write([with_attributes(SESSIONS[0], TO_BE)])
        newcomer = map_store(hazelcast.uri)
        with pytest.raises(StoreUnavailable):
            await newcomer.load(["0"])
        seconds = time.monotonic() - began

    assert seconds < 15
    await until_it_answers(store)
    await until_it_answers(newcomer)
    # What was in doubt was only late.
    async with asyncio.timeout(30):
        while await stored(store, "new") is None:
            pass
    assert await stored(store, "0") == SESSIONS[0]
    await newcomer.close()


async def test_a_minority_serves_nothing_where_the_map_is_protected(
    hazelcast: HazelcastMember,
) -> None:
    store = map_store(hazelcast.uri, GUARDED)
    calls = (store.insert(NEW), store.write([an_end("0")]), store.load(["0"]))

    results = await asyncio.gather(*calls, return_exceptions=True)

    # Nothing was begun: it may be repeated.
    assert [type(result) for result in results] == [StoreUnavailable] * 3
    await store.close()


async def test_a_value_that_is_no_session_is_nobodys(
    hazelcast: HazelcastMember, store: HazelcastStore, mongo_collection: str
) -> None:
    await fill(store)
    async with raw_map(hazelcast, mongo_collection) as raw:
        await raw.put("taken", HazelcastJsonValue('{"user": "ada"}'))

    assert await store.load(["0", "taken"]) == {"0": SESSIONS[0]}
    assert await written(store, an_end("taken")) is Outcome.ABSENT
    with pytest.raises(AlreadyExists):
        await store.insert(a_session("taken"))
