"""The stores that the contract suite runs over. A new one is an opener and a line in BACKENDS."""

import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import pytest
from moorline_sidecar.config.secrets import SecretText
from moorline_sidecar.stores.base import SessionStore
from moorline_sidecar.stores.connection import FixedSource
from moorline_sidecar.stores.datastore import DatastoreStore, datastore_store
from moorline_sidecar.stores.file import FileStore
from moorline_sidecar.stores.hazelcast import HazelcastStore, hazelcast_store
from moorline_sidecar.stores.infinispan import InfinispanStore, infinispan_store
from moorline_sidecar.stores.l2 import L2Store
from moorline_sidecar.stores.memcached import Memcached
from moorline_sidecar.stores.memory import MemoryStore
from moorline_sidecar.stores.mongodb import MongoStore
from moorline_sidecar.stores.mongodb_client import Connection
from moorline_sidecar.stores.mongodb_writes import Writer
from moorline_sidecar.stores.redis import RedisStore, redis_store
from moorline_sidecar.stores.sql import SqlStore, sql_store
from moorline_sidecar.stores.sql_dialects import Dialect
from moorline_sidecar.stores.sql_mysql import MySQL
from moorline_sidecar.stores.sql_postgresql import PostgreSQL
from moorline_sidecar.stores.sql_sqlite import SQLite
from moorline_sidecar.stores.uri_source import UriSource

from e2e.app.hazelcast import CLUSTER
from tests.infinispan_raw import emptied
from tests.sidecar.stores.sql_cases import MYSQL, run

DATABASE: Final = "moorline_tests"

SECONDS: Final = 10.0
"""For what takes a millisecond, on a machine that has much to do."""

Connect: TypeAlias = Callable[[], Coroutine[None, None, SessionStore]]
"""Each call is another process's view of the same, at first empty, data."""

Opener: TypeAlias = Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[Connect]]


@asynccontextmanager
async def memory(_request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    store = MemoryStore(lambda: time.time_ns() // 1_000_000)

    async def connect() -> SessionStore:
        return store

    yield connect
    await store.close()


def mongodb(*, has_bulk: bool = True) -> Opener:
    """`has_bulk`: with the bulk writes that MongoDB has since 8.0."""

    @asynccontextmanager
    async def opened(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
        uri = request.getfixturevalue("mongo_uri")
        collection = request.getfixturevalue("mongo_collection")
        async with connecting(partial(mongo_store, uri, collection, has_bulk=has_bulk)) as connect:
            yield connect

    return opened


def sql(dialect: Dialect, server: str) -> Opener:
    """`server` is the fixture of the database, or of the folder of the file."""

    @asynccontextmanager
    async def opened(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
        found = request.getfixturevalue(server)
        uri = str(found / "sessions.db") if isinstance(found, Path) else found.uri
        table = request.getfixturevalue("mongo_collection")
        async with connecting(partial(relational_store, dialect, uri, table)) as connect:
            yield connect

    return opened


@asynccontextmanager
async def mysql(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    uri = request.getfixturevalue("mysql").uri
    async with connecting(partial(relational_store, MYSQL.dialect, uri, "contract")) as connect:
        # Making tables costs it four times what it costs MariaDB.
        await connect()
        await run(MYSQL, uri, "DELETE FROM contract", "DELETE FROM contract_workers")
        yield connect


def behind_l2(opener: Opener) -> Opener:
    """The same with memcached before it, which is given the time that it wants."""

    @asynccontextmanager
    async def opened(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
        server = request.getfixturevalue("memcached")
        cluster = request.getfixturevalue("mongo_collection")
        async with opener(request) as connect_plain, AsyncExitStack() as stack:

            async def connect() -> SessionStore:
                cache = SettledMemcached([server.address], patience=SECONDS)
                stack.push_async_callback(cache.close)
                await cache.prepare()
                return L2Store(await connect_plain(), cache, cluster)

            yield connect

    return opened


class SettledMemcached(Memcached):
    """What was put is there before anything is asked for."""

    async def get(self, names: Sequence[bytes]) -> Mapping[bytes, bytes]:
        await self.drain()
        return await super().get(names)


@asynccontextmanager
async def files(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    folder = request.getfixturevalue("tmp_path") / request.getfixturevalue("mongo_collection")
    async with connecting(partial(FileStore, str(folder))) as connect:
        yield connect


@asynccontextmanager
async def redis(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    server = request.getfixturevalue("redis")
    prefix = request.getfixturevalue("mongo_collection")
    async with connecting(partial(key_value_store, server.uri, f"{prefix}:")) as connect:
        yield connect


@asynccontextmanager
async def hazelcast(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    member = request.getfixturevalue("hazelcast")
    name = request.getfixturevalue("mongo_collection")
    async with connecting(partial(map_store, member.uri, name)) as connect:
        yield connect


@asynccontextmanager
async def infinispan(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    server = request.getfixturevalue("infinispan")
    # Making a cache takes the server seconds, and memory for good.
    await emptied(server.uri, "contract")
    async with connecting(partial(cache_store, server.uri, "contract")) as connect:
        yield connect


@asynccontextmanager
async def datastore(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    server = request.getfixturevalue("datastore")
    kind = request.getfixturevalue("mongo_collection")
    async with connecting(partial(entity_store, server.uri, kind)) as connect:
        yield connect


@asynccontextmanager
async def connecting(make: Callable[[], SessionStore]) -> AsyncIterator[Connect]:
    """Prepares each store that it makes, and closes all of them at the end."""
    stores: list[SessionStore] = []

    async def connect() -> SessionStore:
        store = make()
        stores.append(store)
        await store.prepare()
        return store

    yield connect
    for store in stores:
        await store.close()


def relational_store(dialect: Dialect, uri: str, table: str = "sessions") -> SqlStore:
    return sql_store(dialect, FixedSource(uri), table)


def key_value_store(uri: str, prefix: str = "moorline:") -> RedisStore:
    return redis_store(FixedSource(uri), prefix)


def map_store(uri: str, map_name: str = "sessions") -> HazelcastStore:
    return hazelcast_store(FixedSource(uri), CLUSTER, (), map_name)


def cache_store(uri: str, cache: str = "sessions") -> InfinispanStore:
    return infinispan_store(FixedSource(uri), cache)


def entity_store(uri: str, kind: str = "MoorlineSession") -> DatastoreStore:
    return datastore_store(FixedSource(uri), "", kind)


def mongo_store(uri: str, collection: str, *, has_bulk: bool = True) -> MongoStore:
    return MongoStore(
        Connection(UriSource(SecretText(uri))),
        DATABASE,
        collection,
        writer=Writer(has_bulk=has_bulk),
    )


BACKENDS: Final[dict[str, Opener]] = {
    "memory": memory,
    "mongodb": mongodb(),
    "mongodb-before-8": mongodb(has_bulk=False),
    "postgresql": sql(PostgreSQL(), "postgresql"),
    "mariadb": sql(MySQL(), "mariadb"),
    "mysql": mysql,
    "hazelcast": hazelcast,
    "infinispan": infinispan,
    "datastore": datastore,
    "sqlite": sql(SQLite(), "tmp_path"),
    "file": files,
    "redis": redis,
    "memory-l2": behind_l2(memory),
    "postgresql-l2": behind_l2(sql(PostgreSQL(), "postgresql")),
    "redis-l2": behind_l2(redis),
}
COMPARED: Final = BACKENDS | {"postgresql-pgbouncer": sql(PostgreSQL(), "pgbouncer")}
"""Those that are held against the reference: what is only on the way to a store needs no more."""
STREAMING: Final = (
    *("memory", "mongodb", "mongodb-before-8", "redis", "postgresql", "hazelcast"),
    *("memory-l2", "postgresql-l2", "redis-l2"),
)
"""Those that tell of changes; of the others the suite wants that they say so."""
UNREGISTERED: Final = frozenset({"memory", "memory-l2"})
"""Those that have no list of processes, since there is only one."""
