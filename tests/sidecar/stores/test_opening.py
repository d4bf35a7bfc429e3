import json
from pathlib import Path

import pytest
from moorline_api import (
    BackendSpec,
    BackendType,
    DatastoreSpec,
    FileSpec,
    MongoDBSpec,
    RedisSpec,
    SQLiteSpec,
    decode_spec,
)
from moorline_sidecar.config import Options, read_configuration
from moorline_sidecar.config.secrets import SecretFile, SecretText
from moorline_sidecar.errors import ConfigurationError, StoreUnavailable
from moorline_sidecar.stores.datastore import DatastoreStore
from moorline_sidecar.stores.file import FileStore
from moorline_sidecar.stores.l2 import L2Store
from moorline_sidecar.stores.memory import MemoryStore
from moorline_sidecar.stores.mongodb import MongoStore
from moorline_sidecar.stores.opening import open_cached_store, open_store
from moorline_sidecar.stores.redis import RedisStore
from moorline_sidecar.stores.sql import SqlStore

from e2e.app.databases import Database, MemcachedServer
from e2e.app.datastore import DatastoreServer
from tests.contract.sessions import inserted, stored
from tests.sidecar.stores.raw import raw_collection

MONGODB = BackendSpec(type=BackendType.MONGODB, mongodb=MongoDBSpec())
KINDS_WITH_A_URI = [
    *(BackendType.MONGODB, BackendType.POSTGRESQL, BackendType.MYSQL, BackendType.REDIS),
    BackendType.INFINISPAN,
]


async def test_sessions_are_kept_in_memory() -> None:
    store = open_store(BackendSpec(type=BackendType.MEMORY), None, "shop")

    assert isinstance(store, MemoryStore)
    assert await store.now()


async def test_sessions_are_kept_in_files(tmp_path: Path) -> None:
    spec = FileSpec(directory=str(tmp_path / "sessions"))
    store = open_store(BackendSpec(type=BackendType.FILE, file=spec), None, "shop")
    await store.prepare()

    session = await inserted(store)

    assert isinstance(store, FileStore)
    assert await stored(store) == session
    await store.close()


async def test_a_store_that_is_served_from_is_behind_the_l2(memcached: MemcachedServer) -> None:
    l2 = {"type": "Memcached", "memcached": {"servers": [memcached.address]}}
    spec = decode_spec({"backend": {"type": "Memory", "l2": l2}})
    store = open_cached_store(spec.backend, None, "shop")
    await store.prepare()

    session = await inserted(store)

    assert isinstance(store, L2Store)
    assert await stored(store) == session
    assert store.counts.misses == 1
    assert isinstance(open_store(spec.backend, None, "shop"), MemoryStore)
    await store.close()


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


@pytest.mark.parametrize("kind", KINDS_WITH_A_URI)
async def test_a_uri_is_required(kind: BackendType) -> None:
    with pytest.raises(ConfigurationError, match=f"MOORLINE_BACKEND_URI: required for {kind}"):
        open_store(BackendSpec(type=kind), None, "shop")


@pytest.mark.parametrize("kind", list(BackendType))
def test_a_uri_that_is_missing_is_named_with_the_other_mistakes(
    kind: BackendType, tmp_path: Path
) -> None:
    (tmp_path / "cluster.json").write_text(
        json.dumps({"spec": {"backend": {"type": kind.value, kind.member: {}}}, "more": 1})
    )
    options = Options(config=str(tmp_path / "cluster.json"), serves=False)

    with pytest.raises(ConfigurationError) as raised:
        read_configuration(options, {}, "host")

    first, *others = raised.value.mistakes
    assert first.startswith("more: unknown field")
    is_needed = kind in KINDS_WITH_A_URI
    assert [each.partition(":")[0] for each in others] == ["MOORLINE_BACKEND_URI"] * is_needed


@pytest.mark.parametrize(
    ("kind", "environ", "uri"),
    [
        ("Datastore", {}, SecretText("datastore://127.0.0.1:8081")),
        ("Datastore", {"MOORLINE_BACKEND_URI": "datastore://h:1"}, SecretText("datastore://h:1")),
        ("Hazelcast", {}, None),
    ],
    ids=["no uri", "a uri", "another store"],
)
def test_an_emulator_of_datastore_is_found_by_its_own_variable(
    tmp_path: Path, kind: str, environ: dict[str, str], uri: SecretText | None
) -> None:
    spec = {"backend": {"type": kind, kind.lower(): {}}}
    (tmp_path / "cluster.json").write_text(json.dumps({"spec": spec}))
    options = Options(config=str(tmp_path / "cluster.json"), serves=False)
    emulator = {"DATASTORE_EMULATOR_HOST": "127.0.0.1:8081"}

    assert read_configuration(options, {**emulator, **environ}, "host").uri == uri


@pytest.mark.parametrize("kind", KINDS_WITH_A_URI)
def test_a_uri_of_no_use_is_told_by_where_it_comes_from(kind: BackendType, tmp_path: Path) -> None:
    (tmp_path / "uri").write_text("telnet://ada:s3cret@db")
    backend = BackendSpec(type=kind)

    for uri, name in (
        (SecretText("telnet://ada:s3cret@db"), "MOORLINE_BACKEND_URI"),
        (SecretFile(str(tmp_path), ("uri",)), "MOORLINE_BACKEND_URI_FILE"),
    ):
        with pytest.raises(ConfigurationError) as raised:
            open_store(backend, uri, "shop")
        (mistake,) = raised.value.mistakes
        assert mistake.startswith(f"{name}: the connection URI cannot be used")
        assert "s3cret" not in mistake


@pytest.mark.parametrize(
    ("kind", "server"),
    [
        (BackendType.POSTGRESQL, "postgresql"),
        (BackendType.MYSQL, "mariadb"),
        (BackendType.SQLITE, "tmp_path"),
    ],
)
async def test_sessions_are_kept_in_a_table(
    kind: BackendType, server: str, request: pytest.FixtureRequest, mongo_collection: str
) -> None:
    found = request.getfixturevalue(server)
    uri = found.uri if isinstance(found, Database) else None
    table = f"Jetty{mongo_collection.title()}"
    member = {"table": table, "columns": {"accessed": "accessTime", "name": "Key"}}
    if uri is None:
        member["path"] = str(found / "sessions.db")
    spec = decode_spec({"backend": {"type": kind.value, kind.member: member}})
    store = open_store(spec.backend, None if uri is None else SecretText(uri), "shop")
    await store.prepare()

    session = await inserted(store)

    assert isinstance(store, SqlStore)
    assert await stored(store) == session
    await store.close()


async def test_sessions_are_kept_in_datastore(
    datastore: DatastoreServer, mongo_collection: str
) -> None:
    spec = DatastoreSpec(project="shop-project", kind=mongo_collection)
    backend = BackendSpec(type=BackendType.DATASTORE, datastore=spec)
    store = open_store(backend, SecretText(datastore.uri), "shop")

    session = await inserted(store)

    assert isinstance(store, DatastoreStore)
    assert await stored(store) == session
    assert await store.server() == "Datastore, project shop-project"
    await store.close()


async def test_sessions_are_kept_in_redis(redis: Database, mongo_collection: str) -> None:
    spec = RedisSpec(key_prefix=f"{mongo_collection}:")
    store = open_store(
        BackendSpec(type=BackendType.REDIS, redis=spec), SecretText(redis.uri), "shop"
    )

    session = await inserted(store)

    assert isinstance(store, RedisStore)
    assert await stored(store) == session
    await store.close()


@pytest.mark.parametrize(
    ("columns", "mistake"),
    [
        pytest.param({"acessed": "accessTime"}, "there is no column acessed", id="unknown"),
        pytest.param({"accessed": "Created"}, "two columns would be named created", id="twice"),
    ],
)
async def test_columns_have_names_of_their_own(columns: dict[str, str], mistake: str) -> None:
    spec = SQLiteSpec(columns=columns)

    with pytest.raises(ConfigurationError, match=mistake):
        open_store(BackendSpec(type=BackendType.SQLITE, sqlite=spec), None, "shop")
