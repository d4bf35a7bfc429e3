"""Opening the store that a SessionCluster names. A new backend is one case here."""

from __future__ import annotations

import time

from moorline_api import BackendSpec, BackendType, MongoDBSpec

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
        ConfigurationError: the backend is not among those that this version has, or the URI is
            missing or of no use.
    """
    if backend.l2 is not None:
        raise ConfigurationError(["spec.backend.l2: not available yet; remove it"])
    match backend.type:
        case BackendType.MEMORY:
            from moorline_sidecar.stores.memory import MemoryStore

            return MemoryStore(_node_now)
        case BackendType.MONGODB:
            return _open_mongodb(backend.mongodb or MongoDBSpec(), uri, cluster)
        case other:
            raise ConfigurationError([f"spec.backend.type: {other} is not available yet"])


def _open_mongodb(
    spec: MongoDBSpec, uri: SecretText | SecretFile | None, cluster: str
) -> SessionStore:
    from moorline_sidecar.stores.mongodb import MongoStore
    from moorline_sidecar.stores.mongodb_client import Connection

    if uri is None:
        raise ConfigurationError(
            ["MOORLINE_BACKEND_URI: required for MongoDB, or MOORLINE_BACKEND_URI_FILE"]
        )
    return MongoStore(
        Connection(UriSource(uri)),
        spec.database,
        spec.collection or cluster,
        write_concern=_write_concern(spec.write_concern),
    )


def _write_concern(spec: int | str) -> int | str:
    """A string of digits is the number of members, not the name of a custom write concern."""
    return int(spec) if str(spec).isdigit() else spec


def _node_now() -> int:
    return time.time_ns() // 1_000_000
