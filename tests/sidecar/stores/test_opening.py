import pytest
from moorline_api import BackendSpec, BackendType, MongoDBSpec
from moorline_sidecar.config.secrets import SecretFile, SecretText
from moorline_sidecar.errors import ConfigurationError, StoreUnavailable
from moorline_sidecar.stores.memory import MemoryStore
from moorline_sidecar.stores.mongodb import MongoStore
from moorline_sidecar.stores.opening import open_store

from tests.contract.sessions import inserted, stored
from tests.sidecar.stores.raw import raw_collection

MONGODB = BackendSpec(type=BackendType.MONGODB, mongodb=MongoDBSpec())


async def test_sessions_are_kept_in_memory() -> None:
    store = open_store(BackendSpec(type=BackendType.MEMORY), None, "shop")

    assert isinstance(store, MemoryStore)
    assert await store.now()


@pytest.mark.parametrize("write_concern", ["majority", "1", 1], ids=["all", "text", "number"])
async def test_sessions_are_kept_in_mongodb(
    mongo_uri: str, mongo_collection: str, write_concern: int | str
) -> None:
    spec = MongoDBSpec(database="moorline_tests", write_concern=write_concern)
    backend = BackendSpec(type=BackendType.MONGODB, mongodb=spec)
    store = open_store(backend, SecretText(mongo_uri), mongo_collection)

    session = await inserted(store)

    assert isinstance(store, MongoStore)
    assert await stored(store) == session
    async with raw_collection(mongo_uri, mongo_collection) as collection:
        assert await collection.count_documents({}) == 1
    await store.close()


async def test_a_store_opens_without_its_server_and_without_its_secret() -> None:
    store = open_store(MONGODB, SecretFile("/nowhere", ("uri",)), "shop")

    with pytest.raises(StoreUnavailable, match="/nowhere"):
        await store.now()
    await store.close()


async def test_a_uri_is_required() -> None:
    with pytest.raises(ConfigurationError, match="MOORLINE_BACKEND_URI"):
        open_store(MONGODB, None, "shop")


@pytest.mark.parametrize(
    "backend", [kind for kind in BackendType if kind not in {"MongoDB", "Memory"}]
)
async def test_a_backend_of_a_later_version_is_refused_by_name(backend: BackendType) -> None:
    with pytest.raises(ConfigurationError, match=f"{backend.value} is not available"):
        open_store(BackendSpec(type=backend), None, "shop")
