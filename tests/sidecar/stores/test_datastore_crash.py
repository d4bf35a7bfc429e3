"""Datastore's server dies in the middle of writes."""

import asyncio

from e2e.app.datastore import DatastoreServer
from tests.contract.backends import entity_store
from tests.sidecar.stores.crashes import (
    KEYS,
    begun,
    check,
    loaded,
    until_it_answers,
    until_version,
    write_until_it_fails,
)


async def test_what_was_acknowledged_survives_the_death_of_the_server(
    datastore: DatastoreServer, mongo_collection: str
) -> None:
    store = entity_store(datastore.uri, mongo_collection)
    writing = entity_store(datastore.uri, mongo_collection)
    sessions = await begun(writing)
    writers = [
        asyncio.create_task(write_until_it_fails(writing, [session])) for session in sessions[:4]
    ]
    writers.append(asyncio.create_task(write_until_it_fails(writing, sessions[4:])))
    await until_version(store, version=10)

    await asyncio.to_thread(datastore.kill)
    acknowledged = [session for writer in writers for session in await writer]
    await asyncio.to_thread(datastore.start)

    await until_it_answers(store)
    found = await loaded(store)
    assert set(found) == set(KEYS)
    for session in acknowledged:
        check(found.get(session.key), session.version)
    await store.close()
    await writing.close()
