"""Infinispan dies in the middle of writes: one server comes back, of three the others go on."""

import asyncio
from contextlib import suppress

import pytest
from moorline_sidecar.errors import StoreError
from moorline_sidecar.stores.infinispan import InfinispanStore

from e2e.app.infinispan import InfinispanServer
from tests.contract.backends import cache_store
from tests.infinispan_raw import emptied
from tests.sidecar.stores.crashes import (
    KEYS,
    begun,
    check,
    check_survival,
    loaded,
    until_version,
    write_until_it_fails,
)
from tests.stores_fixtures import infinispan_cluster

CACHE = "crash"


async def test_what_was_acknowledged_survives_a_crash_and_nothing_is_half_written(
    infinispan: InfinispanServer,
) -> None:
    await emptied(infinispan.uri, CACHE)
    store, impatient = (cache_store(infinispan.uri, CACHE) for _ in range(2))
    sessions = await begun(store)
    # A server that is starting may stand still for good when it is asked too early.
    asking = asyncio.create_task(ask_once_it_is_dead(infinispan, impatient))
    await check_survival(store, infinispan, sessions, store)
    asking.cancel()
    await asyncio.wait([asking])
    await store.close()
    await impatient.close()


async def ask_once_it_is_dead(server: InfinispanServer, store: InfinispanStore) -> None:
    """From when it is killed, and on until cancelled."""
    while server.pid is not None:  # noqa: ASYNC110 - nobody else can tell
        await asyncio.sleep(0.02)
    while True:
        with suppress(StoreError):
            await store.prepare()
            await store.load(KEYS)


@pytest.mark.timeout(300)
async def test_what_was_acknowledged_survives_the_death_of_one_of_three_servers() -> None:
    with infinispan_cluster(3) as servers:
        await one_dies(servers)


async def one_dies(servers: list[InfinispanServer]) -> None:
    first, second = (cache_store(server.uri, CACHE) for server in servers[:2])
    sessions = await begun(first)
    assert await second.load(KEYS) == {session.key: session for session in sessions}
    writers = [
        asyncio.create_task(write_until_it_fails(store, [session]))
        for store, session in zip((first, second) * 4, sessions, strict=True)
    ]
    await until_version(second, version=10)

    await asyncio.to_thread(servers[0].kill)
    # Who asks the other may go on until we do not want it to.
    await asyncio.wait(writers, timeout=3)
    await second.close()
    acknowledged = [session for writer in writers for session in await writer]

    again = cache_store(servers[1].uri, CACHE)
    found = await loaded(again)
    for session in acknowledged:
        check(found.get(session.key), session.version)
    await first.close()
    await again.close()
