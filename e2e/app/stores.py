"""The stores that the demo can run on, each a server of its own or a file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

from moorline_sidecar.stores.embedded import embedded_server
from msgspec import Struct, structs

from e2e.app.databases import (
    Database,
    MariaDBServer,
    MemcachedServer,
    PostgreSQLServer,
    RedisServer,
    running,
)
from e2e.app.datastore import DatastoreServer
from e2e.app.hazelcast import CLUSTER, running_members
from e2e.app.infinispan import InfinispanServer
from e2e.ports import free_port


class RunningStore(Struct, frozen=True):
    """`backend` is that of a SessionCluster; without a server `uri` is empty."""

    name: str
    backend: Mapping[str, Any]
    uri: str = ""


Opened: TypeAlias = AbstractAsyncContextManager[RunningStore]


@asynccontextmanager
async def _mongodb(_folder: Path) -> AsyncIterator[RunningStore]:
    async with embedded_server(port=free_port()) as server:
        backend = {"type": "MongoDB", "mongodb": {}}
        yield RunningStore("a MongoDB-compatible server", backend, server.uri)


def _database(name: str, kind: type[Database], type_: str) -> Callable[[Path], Opened]:
    @asynccontextmanager
    async def opened(_folder: Path) -> AsyncIterator[RunningStore]:
        server = running(kind)
        database = await asyncio.to_thread(server.__enter__)
        try:
            yield RunningStore(name, {"type": type_, type_.lower(): {}}, database.uri)
        finally:
            await asyncio.to_thread(server.__exit__, None, None, None)

    return opened


@asynccontextmanager
async def _sqlite(folder: Path) -> AsyncIterator[RunningStore]:
    backend = {"type": "SQLite", "sqlite": {"path": str(folder / "sessions.db")}}
    yield RunningStore("a file of SQLite", backend)


@asynccontextmanager
async def _file(folder: Path) -> AsyncIterator[RunningStore]:
    backend = {"type": "File", "file": {"directory": str(folder / "sessions")}}
    yield RunningStore("a file for each session", backend)


@asynccontextmanager
async def _hazelcast(_folder: Path) -> AsyncIterator[RunningStore]:
    server = running_members(1)
    (member,) = await asyncio.to_thread(server.__enter__)
    try:
        settings = {"servers": [member.address], "clusterName": CLUSTER}
        yield RunningStore("Hazelcast", {"type": "Hazelcast", "hazelcast": settings})
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)


STORES: Final[dict[str, Callable[[Path], Opened]]] = {
    "mongodb": _mongodb,
    "postgresql": _database("PostgreSQL", PostgreSQLServer, "PostgreSQL"),
    "mysql": _database("MariaDB", MariaDBServer, "MySQL"),
    "hazelcast": _hazelcast,
    "infinispan": _database("Infinispan", InfinispanServer, "Infinispan"),
    "datastore": _database("Datastore", DatastoreServer, "Datastore"),
    "sqlite": _sqlite,
    "file": _file,
    "redis": _database("Redis", RedisServer, "Redis"),
}
"""By the words of `make demo STORE=…`."""


@asynccontextmanager
async def _behind_memcached(store: RunningStore) -> AsyncIterator[RunningStore]:
    server = running(MemcachedServer)
    memcached = await asyncio.to_thread(server.__enter__)
    l2 = {"type": "Memcached", "memcached": {"servers": [memcached.address]}}
    try:
        yield structs.replace(
            store, name=f"{store.name} behind memcached", backend={**store.backend, "l2": l2}
        )
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)


L2S: Final[dict[str, Callable[[RunningStore], Opened]]] = {"memcached": _behind_memcached}
"""By the words of `make demo L2=…`."""
