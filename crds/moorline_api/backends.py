"""`spec.backend`: where sessions are kept. One member per type, named by the type in lower case."""

from typing import Annotated

from msgspec import Meta, field

from moorline_api.base import Model, SecretKeyRef
from moorline_api.choices import BackendType, L2Type
from moorline_api.scalars import (
    CollectionName,
    ColumnName,
    DatabaseName,
    FilePath,
    ServerAddress,
    StoreName,
    TableName,
    WriteConcern,
)

_CONNECTION = Meta(
    description="The Secret with the connection URI, credentials included. Without one the "
    "sidecar takes its URI from its own environment, as outside Kubernetes."
)
_TABLE = Meta(
    description="The table of the sessions, made by `check`; beside it are `<table>_attributes` "
    "and `<table>_workers`. One SessionCluster, one table. Immutable: sessions would be left "
    "behind."
)
_COLUMNS = Meta(
    description="Other names for columns, by their usual ones, as `accessed: accessTime`, where a "
    "convention asks for it. Immutable.",
    max_length=32,
)
_SERVERS = Meta(
    description="The servers as host:port, at least one.",
    examples=[["cache-0:11211", "cache-1:11211"]],
    min_length=1,
    max_length=64,
)


class MongoDBSpec(Model, frozen=True, kw_only=True):
    """MongoDB and what speaks its protocol. Reads always go to the primary."""

    connection_secret_ref: Annotated[SecretKeyRef | None, _CONNECTION] = None
    database: Annotated[
        DatabaseName, Meta(description="The database. Immutable: sessions would be left behind.")
    ] = "sessions"
    collection: Annotated[
        CollectionName,
        ColumnName,
        Meta(
            description="The collection, for this SessionCluster alone. Immutable. Empty, the "
            "default, means the name of the SessionCluster, so that two do not share one by "
            "accident."
        ),
    ] = ""
    write_concern: Annotated[
        WriteConcern,
        Meta(
            description="How many members have a write in their journal before it is "
            "acknowledged. `majority`, because a change that fewer have is lost when the primary "
            "changes."
        ),
    ] = "majority"


class PostgreSQLSpec(Model, frozen=True, kw_only=True):
    """PostgreSQL."""

    connection_secret_ref: Annotated[SecretKeyRef | None, _CONNECTION] = None
    table: Annotated[TableName, _TABLE] = "moorline_sessions"
    columns: Annotated[dict[str, ColumnName], _COLUMNS] = field(default_factory=dict)


class MySQLSpec(Model, frozen=True, kw_only=True):
    """MySQL and MariaDB."""

    connection_secret_ref: Annotated[SecretKeyRef | None, _CONNECTION] = None
    table: Annotated[TableName, _TABLE] = "moorline_sessions"
    columns: Annotated[dict[str, ColumnName], _COLUMNS] = field(default_factory=dict)


class SQLiteSpec(Model, frozen=True, kw_only=True):
    """One file, for the processes of one node."""

    path: Annotated[
        FilePath,
        Meta(
            description="The database file, on a volume that outlives the pod. Immutable: sessions "
            "would be left behind."
        ),
    ] = "/var/lib/moorline/sessions.db"
    table: Annotated[TableName, _TABLE] = "moorline_sessions"
    columns: Annotated[dict[str, ColumnName], _COLUMNS] = field(default_factory=dict)


class RedisSpec(Model, frozen=True, kw_only=True):
    """Redis and Valkey."""

    connection_secret_ref: Annotated[SecretKeyRef | None, _CONNECTION] = None
    key_prefix: Annotated[
        StoreName,
        Meta(
            description="What every key begins with. One SessionCluster, one prefix. Immutable: "
            "sessions would be left behind."
        ),
    ] = "moorline:"


class InfinispanSpec(Model, frozen=True, kw_only=True):
    """A remote Infinispan server."""

    connection_secret_ref: Annotated[SecretKeyRef | None, _CONNECTION] = None
    cache_name: Annotated[
        StoreName,
        Meta(
            description="The cache; beside it is `<cache>.workers`. One SessionCluster, one cache. "
            "Immutable: sessions would be left behind."
        ),
    ] = "sessions"


class HazelcastSpec(Model, frozen=True, kw_only=True):
    """A remote Hazelcast cluster."""

    connection_secret_ref: Annotated[
        SecretKeyRef | None,
        Meta(
            description="The Secret with the connection URI, for credentials, TLS, or members in "
            "the place of `servers`. Not needed where the members have no security."
        ),
    ] = None
    servers: Annotated[tuple[ServerAddress, ...], _SERVERS] = ("hazelcast:5701",)
    cluster_name: Annotated[
        StoreName, Meta(description="The name of the Hazelcast cluster; `dev` is its own default.")
    ] = "dev"
    map_name: Annotated[
        StoreName,
        Meta(
            description="The map; beside it are `<map>.workers` and `<map>.clock`. One "
            "SessionCluster, one map. Immutable: sessions would be left behind."
        ),
    ] = "sessions"


class DatastoreSpec(Model, frozen=True, kw_only=True):
    """Google Cloud Datastore, which is Firestore in Datastore mode."""

    connection_secret_ref: Annotated[
        SecretKeyRef | None,
        Meta(
            description="The Secret with the key file of a service account, as JSON. Without one, "
            "the identity of the workload is used."
        ),
    ] = None
    project: Annotated[
        str,
        Meta(
            title="the id of a project, or an empty text for that of the credentials",
            examples=["my-project", ""],
            description="The project. Empty, the default, means that of the credentials. "
            "Immutable: sessions would be left behind.",
            pattern="^([a-z][-a-z0-9:.]*[a-z0-9])?$",
            max_length=100,
        ),
    ] = ""
    kind: Annotated[
        StoreName,
        Meta(
            description="The kind of the entities; beside it is `<kind>.workers`. One "
            "SessionCluster, one kind. Immutable: sessions would be left behind."
        ),
    ] = "MoorlineSession"


class FileSpec(Model, frozen=True, kw_only=True):
    """One file a session."""

    directory: Annotated[
        FilePath,
        Meta(
            description="The directory, on a volume that outlives the pod, for sessions alone. "
            "Immutable: sessions would be left behind."
        ),
    ] = "/var/lib/moorline/sessions"


class MemorySpec(Model, frozen=True, kw_only=True):
    """Nothing to set."""


class MemcachedSpec(Model, frozen=True, kw_only=True):
    """A group of memcached servers."""

    servers: Annotated[tuple[ServerAddress, ...], _SERVERS]


class L2Spec(Model, frozen=True, kw_only=True):
    """A second cache, shared by all sidecars, between their own and the backend."""

    type: Annotated[L2Type, Meta(description="What it is made of.")]
    memcached: Annotated[
        MemcachedSpec,
        Meta(
            title="the settings of memcached",
            examples=[{"servers": ["memcached:11211"]}],
            description="The settings of type `Memcached`.",
        ),
    ]


class BackendSpec(Model, frozen=True, kw_only=True):
    """Where sessions are kept: a type, and exactly the member that it names."""

    type: Annotated[
        BackendType, Meta(description="What it is. Immutable: sessions would be left behind.")
    ]
    mongodb: Annotated[MongoDBSpec | None, Meta(description="Settings of type `MongoDB`.")] = None
    postgresql: Annotated[
        PostgreSQLSpec | None, Meta(description="Settings of type `PostgreSQL`.")
    ] = None
    mysql: Annotated[MySQLSpec | None, Meta(description="Settings of type `MySQL`.")] = None
    sqlite: Annotated[SQLiteSpec | None, Meta(description="Settings of type `SQLite`.")] = None
    redis: Annotated[RedisSpec | None, Meta(description="Settings of type `Redis`.")] = None
    infinispan: Annotated[
        InfinispanSpec | None, Meta(description="Settings of type `Infinispan`.")
    ] = None
    hazelcast: Annotated[
        HazelcastSpec | None, Meta(description="Settings of type `Hazelcast`.")
    ] = None
    datastore: Annotated[
        DatastoreSpec | None, Meta(description="Settings of type `Datastore`.")
    ] = None
    file: Annotated[FileSpec | None, Meta(description="Settings of type `File`.")] = None
    memory: Annotated[
        MemorySpec | None, Meta(description="Type `Memory` has no settings: `{}`, or absent.")
    ] = None
    l2: Annotated[
        L2Spec | None,
        Meta(
            description="A second cache before the backend. None by default: it helps only where "
            "the backend is much slower than memcached."
        ),
    ] = None
