"""The server dies in the middle of writes, and comes back with what it acknowledged."""

import asyncio
from pathlib import Path

from tests.contract.backends import mongo_store
from tests.sidecar.stores.crashes import (
    begun,
    check,
    loaded,
    until_version,
    write_until_it_fails,
)
from tests.stores_fixtures import GIVES_UP_CONNECTIONS, durable_server, wait_until_answering

pytestmark = GIVES_UP_CONNECTIONS


async def test_what_was_acknowledged_survives_a_crash_and_nothing_is_half_written(
    tmp_path: Path,
) -> None:
    with durable_server(tmp_path) as server:
        store = mongo_store(server.uri, "sessions")
        sessions = await begun(store)
        writers = [
            asyncio.create_task(write_until_it_fails(store, [session])) for session in sessions[:4]
        ]
        writers.append(asyncio.create_task(write_until_it_fails(store, sessions[4:])))
        await until_version(store, version=10)

        server.kill()
        acknowledged = [session for writer in writers for session in await writer]
        server.start()
        await asyncio.to_thread(wait_until_answering, server)

        found = await loaded(store)
        for session in acknowledged:
            check(found[session.key], session.version)
        await store.close()
