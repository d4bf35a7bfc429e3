"""Datastore's server dies in the middle of writes."""

from e2e.app.datastore import DatastoreServer
from tests.contract.backends import entity_store
from tests.sidecar.stores.crashes import begun, check_survival


async def test_what_was_acknowledged_survives_the_death_of_the_server(
    datastore: DatastoreServer, mongo_collection: str
) -> None:
    store = entity_store(datastore.uri, mongo_collection)
    writing = entity_store(datastore.uri, mongo_collection)
    await check_survival(store, datastore, await begun(writing), writing)
    await store.close()
    await writing.close()
