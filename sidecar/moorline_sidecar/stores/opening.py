"""Opening the store that a SessionCluster names. A new backend is one function here."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeAlias

from moorline_api import (
    BackendSpec,
    BackendType,
    DatastoreSpec,
    FileSpec,
    HazelcastSpec,
    InfinispanSpec,
    L2Spec,
    MongoDBSpec,
    MySQLSpec,
    PostgreSQLSpec,
    RedisSpec,
    SQLiteSpec,
)

from moorline_sidecar.config.secrets import SecretFile, SecretText
from moorline_sidecar.errors import ConfigurationError
from moorline_sidecar.stores.base import SessionStore
from moorline_sidecar.stores.uri_source import UriSource

Uri: TypeAlias = SecretText | SecretFile | None

# Drivers are imported where they are used: a start pays for one of them only.
# ruff: noqa: PLC0415


def open_cached_store(backend: BackendSpec, uri: Uri, cluster: str) -> SessionStore:
    """As `open_store`, behind the L2 where the cluster has one.

    Raises:
        ConfigurationError: as `open_store`.
    """
    store = open_store(backend, uri, cluster)
    return store if backend.l2 is None else _behind_l2(store, backend.l2, cluster)


def open_store(backend: BackendSpec, uri: Uri, cluster: str) -> SessionStore:
    """The store of the cluster of this name; nothing is connected to yet.

    Raises:
        ConfigurationError: the driver is not installed, or the URI is missing or of no use.
    """
    try:
        return _OPENERS[backend.type](backend, uri, cluster)
    except ConfigurationError as error:
        raise ConfigurationError([_with_path(each, uri) for each in error.mistakes]) from error
    except ModuleNotFoundError as error:
        mistake = (
            f"spec.backend.type: {backend.type} needs {error.name}, which is not installed; "
            f"`pip install moorline-sidecar[{backend.type.member}]` installs it"
        )
        raise ConfigurationError([mistake]) from error


def _memory(_backend: BackendSpec, _uri: Uri, _cluster: str) -> SessionStore:
    from moorline_sidecar.stores.memory import MemoryStore

    return MemoryStore(_node_now)


def _mongodb(backend: BackendSpec, uri: Uri, cluster: str) -> SessionStore:
    from moorline_sidecar.stores.mongodb import MongoStore
    from moorline_sidecar.stores.mongodb_client import Connection

    spec = backend.mongodb or MongoDBSpec()
    return MongoStore(
        Connection(_source(uri, BackendType.MONGODB)),
        spec.database,
        spec.collection or cluster,
        write_concern=_write_concern(spec.write_concern),
    )


def _postgresql(backend: BackendSpec, uri: Uri, _cluster: str) -> SessionStore:
    from moorline_sidecar.stores.sql import sql_store
    from moorline_sidecar.stores.sql_postgresql import PostgreSQL

    spec = backend.postgresql or PostgreSQLSpec()
    source = _source(uri, BackendType.POSTGRESQL)
    return sql_store(PostgreSQL(), source, spec.table, spec.columns)


def _mysql(backend: BackendSpec, uri: Uri, _cluster: str) -> SessionStore:
    from moorline_sidecar.stores.sql import sql_store
    from moorline_sidecar.stores.sql_mysql import MySQL

    spec = backend.mysql or MySQLSpec()
    return sql_store(MySQL(), _source(uri, BackendType.MYSQL), spec.table, spec.columns)


def _sqlite(backend: BackendSpec, _uri: Uri, _cluster: str) -> SessionStore:
    from moorline_sidecar.stores.connection import FixedSource
    from moorline_sidecar.stores.sql import sql_store
    from moorline_sidecar.stores.sql_sqlite import SQLite

    spec = backend.sqlite or SQLiteSpec()
    return sql_store(SQLite(), FixedSource(spec.path), spec.table, spec.columns)


def _redis(backend: BackendSpec, uri: Uri, _cluster: str) -> SessionStore:
    from moorline_sidecar.stores.redis import redis_store

    spec = backend.redis or RedisSpec()
    return redis_store(_source(uri, BackendType.REDIS), spec.key_prefix)


def _hazelcast(backend: BackendSpec, uri: Uri, _cluster: str) -> SessionStore:
    from moorline_sidecar.stores.hazelcast import hazelcast_store

    spec = backend.hazelcast or HazelcastSpec()
    # Without credentials the names of the servers are all that is needed.
    source = UriSource(uri or SecretText("hazelcast://"), member="hazelcast")
    return hazelcast_store(source, spec.cluster_name, spec.servers, spec.map_name)


def _infinispan(backend: BackendSpec, uri: Uri, _cluster: str) -> SessionStore:
    from moorline_sidecar.stores.infinispan import infinispan_store

    spec = backend.infinispan or InfinispanSpec()
    return infinispan_store(_source(uri, BackendType.INFINISPAN), spec.cache_name)


def _datastore(backend: BackendSpec, uri: Uri, _cluster: str) -> SessionStore:
    from moorline_sidecar.stores.datastore import datastore_store
    from moorline_sidecar.stores.datastore_client import WORKLOAD_URI

    spec = backend.datastore or DatastoreSpec()
    source = UriSource(uri or SecretText(WORKLOAD_URI), member="datastore")
    return datastore_store(source, spec.project, spec.kind)


def _file(backend: BackendSpec, _uri: Uri, _cluster: str) -> SessionStore:
    from moorline_sidecar.stores.file import FileStore

    return FileStore((backend.file or FileSpec()).directory)


_OPENERS: Final[dict[BackendType, Callable[[BackendSpec, Uri, str], SessionStore]]] = {
    BackendType.MEMORY: _memory,
    BackendType.MONGODB: _mongodb,
    BackendType.POSTGRESQL: _postgresql,
    BackendType.MYSQL: _mysql,
    BackendType.SQLITE: _sqlite,
    BackendType.REDIS: _redis,
    BackendType.HAZELCAST: _hazelcast,
    BackendType.INFINISPAN: _infinispan,
    BackendType.DATASTORE: _datastore,
    BackendType.FILE: _file,
}


def _behind_l2(store: SessionStore, l2: L2Spec, cluster: str) -> SessionStore:
    try:
        from moorline_sidecar.stores.memcached import Memcached
    except ModuleNotFoundError as error:
        mistake = (
            f"spec.backend.l2.type: {l2.type} needs {error.name}, which is not installed; "
            f"`pip install moorline-sidecar[{l2.type.lower()}]` installs it"
        )
        raise ConfigurationError([mistake]) from error
    from moorline_sidecar.stores.l2 import L2Store

    return L2Store(store, Memcached(l2.memcached.servers), cluster)


def _source(uri: Uri, kind: BackendType) -> UriSource:
    if uri is None:
        raise ConfigurationError(
            [f"MOORLINE_BACKEND_URI: required for {kind}, or MOORLINE_BACKEND_URI_FILE"]
        )
    return UriSource(uri, member=kind.member)


def _with_path(mistake: str, uri: Uri) -> str:
    """What a driver's module finds wrong without saying where is about the URI."""
    if uri is None or mistake.startswith(("spec.", "MOORLINE_")):
        return mistake
    name = "MOORLINE_BACKEND_URI" if isinstance(uri, SecretText) else "MOORLINE_BACKEND_URI_FILE"
    return f"{name}: {mistake}"


def _write_concern(spec: int | str) -> int | str:
    """A string of digits is the number of members, not the name of a custom write concern."""
    return int(spec) if str(spec).isdigit() else spec


def _node_now() -> int:
    return time.time_ns() // 1_000_000
