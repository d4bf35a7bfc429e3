"""Opening the store that a SessionCluster names. A new backend is one case here."""

from __future__ import annotations

import time

from moorline_api import (
    BackendSpec,
    BackendType,
    FileSpec,
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

# Drivers are imported where they are used: a start pays for one of them only.
# ruff: noqa: PLC0415


def open_store(
    backend: BackendSpec, uri: SecretText | SecretFile | None, cluster: str
) -> SessionStore:
    """The store of the cluster of this name; nothing is connected to yet.

    Raises:
        ConfigurationError: the backend is not among those that this version has, or its driver is
            not installed, or the URI is missing or of no use.
    """
    if backend.l2 is not None:
        raise ConfigurationError(["spec.backend.l2: not available yet; remove it"])
    try:
        return _opened(backend, uri, cluster)
    except ModuleNotFoundError as error:
        mistake = (
            f"spec.backend.type: {backend.type} needs {error.name}, which is not installed; "
            f"`pip install moorline-sidecar[{backend.type.member}]` installs it"
        )
        raise ConfigurationError([mistake]) from error


def _opened(
    backend: BackendSpec, uri: SecretText | SecretFile | None, cluster: str
) -> SessionStore:
    match backend.type:
        case BackendType.MEMORY:
            from moorline_sidecar.stores.memory import MemoryStore

            return MemoryStore(_node_now)
        case BackendType.MONGODB:
            return _open_mongodb(backend.mongodb or MongoDBSpec(), uri, cluster)
        case BackendType.POSTGRESQL:
            return _open_postgresql(backend.postgresql or PostgreSQLSpec(), uri)
        case BackendType.MYSQL:
            return _open_mysql(backend.mysql or MySQLSpec(), uri)
        case BackendType.SQLITE:
            return _open_sqlite(backend.sqlite or SQLiteSpec())
        case BackendType.FILE:
            from moorline_sidecar.stores.file import FileStore

            return FileStore((backend.file or FileSpec()).directory)
        case BackendType.REDIS:
            return _open_redis(backend.redis or RedisSpec(), uri)
        case other:
            raise ConfigurationError([f"spec.backend.type: {other} is not available yet"])


def _open_mongodb(
    spec: MongoDBSpec, uri: SecretText | SecretFile | None, cluster: str
) -> SessionStore:
    from moorline_sidecar.stores.mongodb import MongoStore
    from moorline_sidecar.stores.mongodb_client import Connection

    return MongoStore(
        Connection(_source(uri, BackendType.MONGODB)),
        spec.database,
        spec.collection or cluster,
        write_concern=_write_concern(spec.write_concern),
    )


def _open_postgresql(spec: PostgreSQLSpec, uri: SecretText | SecretFile | None) -> SessionStore:
    from moorline_sidecar.stores.sql import sql_store
    from moorline_sidecar.stores.sql_postgresql import PostgreSQL

    source = _source(uri, BackendType.POSTGRESQL)
    return sql_store(PostgreSQL(), source, spec.table, spec.columns)


def _open_mysql(spec: MySQLSpec, uri: SecretText | SecretFile | None) -> SessionStore:
    from moorline_sidecar.stores.sql import sql_store
    from moorline_sidecar.stores.sql_mysql import MySQL

    return sql_store(MySQL(), _source(uri, BackendType.MYSQL), spec.table, spec.columns)


def _open_sqlite(spec: SQLiteSpec) -> SessionStore:
    from moorline_sidecar.stores.sql import sql_store
    from moorline_sidecar.stores.sql_engine import FixedSource
    from moorline_sidecar.stores.sql_sqlite import SQLite

    return sql_store(SQLite(), FixedSource(spec.path), spec.table, spec.columns)


def _open_redis(spec: RedisSpec, uri: SecretText | SecretFile | None) -> SessionStore:
    from moorline_sidecar.stores.redis import redis_store

    return redis_store(_source(uri, BackendType.REDIS), spec.key_prefix)


def _source(uri: SecretText | SecretFile | None, kind: BackendType) -> UriSource:
    if uri is None:
        raise ConfigurationError(
            [f"MOORLINE_BACKEND_URI: required for {kind}, or MOORLINE_BACKEND_URI_FILE"]
        )
    return UriSource(uri, member=kind.member)


def _write_concern(spec: int | str) -> int | str:
    """A string of digits is the number of members, not the name of a custom write concern."""
    return int(spec) if str(spec).isdigit() else spec


def _node_now() -> int:
    return time.time_ns() // 1_000_000
