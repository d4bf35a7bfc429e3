"""A member of a Hazelcast cluster dies in the middle of writes."""

import asyncio

import pytest
from moorline_sidecar.errors import StoreError
from moorline_sidecar.stores.hazelcast import HazelcastStore

from e2e.app.hazelcast import HazelcastMember
from tests.contract.backends import map_store
from tests.contract.sessions import inserted, stored
from tests.sidecar.stores.crashes import (
    KEYS,
    begun,
    check,
    loaded,
    until_it_answers,
    until_version,
    write_until_it_fails,
)
from tests.stores_fixtures import hazelcast_members


async def test_what_was_acknowledged_survives_the_death_of_a_member() -> None:
    with hazelcast_members(2) as members:
        await one_dies(members)


async def one_dies(members: list[HazelcastMember]) -> None:
    uri = f"hazelcast://{','.join(member.address for member in members)}"
    store, writing = map_store(uri), map_store(uri)
    await until_members(store, 2)
    sessions = await begun(writing)
    writers = [
        asyncio.create_task(write_until_it_fails(writing, [session])) for session in sessions[:4]
    ]
    writers.append(asyncio.create_task(write_until_it_fails(writing, sessions[4:])))
    await until_version(store, version=10)

    # It is the first that is asked for the way to the others.
    await asyncio.to_thread(members[0].kill)
    # Whose sessions are all with the other member goes on until we do not want it to.
    await asyncio.wait(writers, timeout=5, return_when=asyncio.FIRST_COMPLETED)
    await writing.close()
    acknowledged = [session for writer in writers for session in await writer]

    found = await loaded(store)
    for session in acknowledged:
        check(found.get(session.key), session.version)
    await store.close()

    await asyncio.to_thread(members[0].start)
    again = map_store(uri)
    await until_members(again, 2)
    assert await again.load(KEYS) == found
    await again.close()


async def test_a_cluster_that_died_as_a_whole_comes_back_empty_and_in_order(
    hazelcast: HazelcastMember, mongo_collection: str
) -> None:
    store = map_store(hazelcast.uri, mongo_collection)
    await store.prepare()
    await inserted(store, principal="ada")

    await asyncio.to_thread(hazelcast.kill)
    with pytest.raises(StoreError):
        await store.load(["session-1"])
    await asyncio.to_thread(hazelcast.start)
    await until_it_answers(store)

    assert await stored(store) is None
    session = await inserted(store, principal="ada")
    assert await stored(store) == session
    assert [summary.key for summary in await store.by_principal("ada", None, 10)] == [session.key]
    await store.close()


async def until_members(store: HazelcastStore, number: int) -> None:
    async with asyncio.timeout(60):
        while not (await store.server()).endswith(f"{number} members"):
            pass
