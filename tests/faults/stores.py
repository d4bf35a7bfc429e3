"""The stores that a cluster under fire may have, and what it has to know of each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from moorline_sidecar.stores.redis_scripts import scripts_of
from msgspec import Struct

from e2e.app.databases import MariaDBServer, PostgreSQLServer, RedisServer
from e2e.app.datastore import DatastoreServer
from e2e.app.hazelcast import CLUSTER
from e2e.app.infinispan import InfinispanServer
from tests.faults.plan import ON_LINK, ON_STORE, Fault
from tests.faults.running import (
    COLLECTION,
    Opened,
    Traits,
    database,
    hazelcast,
    secantusdb,
    shared_folder,
)

REDIS_PREFIX: Final = "moorline:"

RECORD: Final = (b'{"valid":',)
"""How a record begins as JSON, which goes out in nothing but writes."""


class Kind(Struct, frozen=True):
    """A kind of store, and what opens one whose files may be in the folder."""

    traits: Traits
    open: Callable[[Traits, Path], Opened]


def _redis_writes() -> tuple[bytes, ...]:
    scripts = scripts_of(REDIS_PREFIX)
    return tuple(each.sha.encode() for each in (scripts.insert, scripts.change, scripts.end))


MONGODB: Final = Traits(
    backend={"type": "MongoDB", "mongodb": {"database": COLLECTION, "collection": COLLECTION}},
    # A command's name is the first key of its BSON document, after the type of its value.
    writes=(b"\x02insert\0", b"\x02update\0", b"\x10bulkWrite\0"),
    has_streams=True,
)
STORES: Final[dict[str, Kind]] = {
    "mongodb": Kind(MONGODB, secantusdb),
    "postgresql": Kind(
        Traits(
            backend={"type": "PostgreSQL", "postgresql": {}},
            writes=(b"COMMIT\0",),
            has_streams=True,
        ),
        database(PostgreSQLServer),
    ),
    "mysql": Kind(
        Traits(backend={"type": "MySQL", "mysql": {}}, writes=(b"\x03COMMIT",)),
        database(MariaDBServer),
    ),
    "redis": Kind(
        Traits(
            backend={"type": "Redis", "redis": {"keyPrefix": REDIS_PREFIX}},
            writes=_redis_writes(),
            has_streams=True,
        ),
        database(RedisServer),
    ),
    "hazelcast": Kind(
        Traits(
            backend={"type": "Hazelcast", "hazelcast": {"clusterName": CLUSTER}},
            # The numbers of Map.replaceIfSame and Map.putIfAbsent in the client's protocol.
            writes=((0x010500).to_bytes(4, "little"), (0x010E00).to_bytes(4, "little")),
            has_streams=True,
            # Sessions are in memory: all of them go with the only member.
            spared=ON_STORE - {Fault.STORE_FROZEN},
        ),
        hazelcast,
    ),
    "infinispan": Kind(
        # With a file store, so that what it acknowledged outlives its death.
        Traits(
            backend={"type": "Infinispan", "infinispan": {"cacheName": COLLECTION}},
            writes=RECORD,
        ),
        database(InfinispanServer),
    ),
    "datastore": Kind(
        # gRPC answers more than calls: an "answer" may also be that a request has come.
        Traits(backend={"type": "Datastore", "datastore": {"kind": COLLECTION}}, writes=RECORD),
        database(DatastoreServer),
    ),
    "sqlite": Kind(
        Traits(
            backend={"type": "SQLite", "sqlite": {"path": ""}},
            has_clock=False,
            spared=ON_STORE | ON_LINK,
        ),
        shared_folder,
    ),
    "file": Kind(
        Traits(
            backend={"type": "File", "file": {"directory": ""}},
            has_clock=False,
            spared=ON_STORE | ON_LINK,
        ),
        shared_folder,
    ),
}
"""By the words of `make chaos ARGS="--store …"`."""
