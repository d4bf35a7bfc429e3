"""What Datastore's store reads and writes a second: `python -m bench.datastore`.

Beside it the raw client on the same server, lookup and upsert of as many bytes as the session has,
by as many at once. The server is the one that tests use, in Python: it is what bounds all of them.
"""

from __future__ import annotations

import argparse
import asyncio

import grpc
from google.cloud.datastore_v1.services.datastore import DatastoreAsyncClient
from google.cloud.datastore_v1.services.datastore.transports import DatastoreGrpcAsyncIOTransport
from google.cloud.datastore_v1.types import CommitRequest, Entity, Key, Mutation, PartitionId, Value
from moorline_sidecar.stores.connection import FixedSource
from moorline_sidecar.stores.datastore import datastore_store

from bench.sql import ATTRIBUTES, BYTES, SESSIONS, rate, show, show_store
from e2e.app.databases import running
from e2e.app.datastore import DatastoreServer

PROJECT = "moorline"


def key_of(n: int) -> Key:
    name = f"{n % SESSIONS:043d}"
    path = [Key.PathElement(kind="Raw", name=name)]
    return Key(partition_id=PartitionId(project_id=PROJECT), path=path)


async def measure(server: DatastoreServer, seconds: float) -> None:
    """Print the rates."""
    await show_store(datastore_store(FixedSource(server.uri), PROJECT, "Session"), seconds)
    content = Value(string_value="x" * BYTES * ATTRIBUTES, exclude_from_indexes=True)

    async with grpc.aio.insecure_channel(server.address) as channel:
        client = DatastoreAsyncClient(transport=DatastoreGrpcAsyncIOTransport(channel=channel))

        async def read(n: int) -> int:
            await client.lookup(project_id=PROJECT, keys=[key_of(n)])
            return 1

        async def write(n: int) -> int:
            entity = Entity(key=key_of(n), properties={"record": content})
            request = CommitRequest(
                project_id=PROJECT,
                mode=CommitRequest.Mode.NON_TRANSACTIONAL,
                mutations=[Mutation(upsert=entity)],
            )
            await client.commit(request)
            return 1

        show("raw writes", "entities", await rate(write, seconds))
        show("raw reads", "entities", await rate(read, seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="for each rate")
    arguments = parser.parse_args()
    with running(DatastoreServer) as server:
        import uvloop  # noqa: PLC0415 as the sidecar does

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(measure(server, arguments.seconds))


if __name__ == "__main__":
    main()
