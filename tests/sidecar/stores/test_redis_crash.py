"""Redis dies in the middle of writes, and comes back, or another one takes its place."""

import asyncio
from contextlib import ExitStack

import pytest
from moorline_sidecar.errors import HistoryLost, StoreError, StoreUnavailable
from moorline_sidecar.stores.base import Outcome, SessionStore, Write

from e2e.app.databases import DATABASE, Database, RedisSentinel, RedisServer
from tests.contract.backends import key_value_store
from tests.contract.sessions import inserted, stored, with_attributes, written
from tests.sidecar.stores.crashes import begun, check_survival
from tests.sidecar.stores.redis_keys import expected_indexes, indexes, raw
from tests.stores_fixtures import running_database


async def test_what_was_acknowledged_survives_a_crash_and_nothing_is_half_written() -> None:
    with running_database(RedisServer) as server:
        store = key_value_store(server.uri)
        sessions = await begun(store)
        async with store.watch() as stream:
            token = (await stream.receive(0)).token
        await check_survival(store, server, sessions, store)
        assert await indexes(server.uri, "moorline:") == await expected_indexes(
            server.uri, "moorline:"
        )
        with pytest.raises(HistoryLost):
            async with store.watch(token):
                pass
        await store.close()


async def test_a_replica_serves_nothing_and_sentinels_lead_to_the_next_primary() -> None:
    with ExitStack() as stack:
        primary = stack.enter_context(running_database(RedisServer))
        replica = stack.enter_context(
            running_database(RedisServer, "--replicaof", "127.0.0.1", str(primary.port))
        )
        sentinel = stack.enter_context(running_database(RedisSentinel, str(primary.port)))
        direct = key_value_store(replica.uri)
        store = key_value_store(sentinel.uri)
        await store.prepare()
        session = await inserted(store)
        await until_replicated(primary.uri, sentinel)

        with pytest.raises(StoreUnavailable):
            await direct.load([session.key])
        assert (await direct.check()).reason == "NotPrimary"

        await asyncio.to_thread(primary.kill)
        change = with_attributes(session, {"a": 1})
        assert await until_written(store, change) is Outcome.APPLIED
        assert await stored(direct) == change.after
        await store.close()
        await direct.close()


async def until_replicated(uri: str, sentinel: Database) -> None:
    """The replica has all, and the Sentinel knows it."""
    async with raw(uri) as client, asyncio.timeout(60):
        while not await client.wait(1, 100):
            pass
    async with raw(f"redis://127.0.0.1:{sentinel.port}") as client, asyncio.timeout(60):
        while not await client.execute_command("SENTINEL", "CKQUORUM", DATABASE) or not any(
            replica["is_slave"] and replica["master-link-status"] == "ok"
            for replica in await client.sentinel_slaves(DATABASE)
        ):
            pass


async def until_written(store: SessionStore, change: Write) -> Outcome:
    async with asyncio.timeout(60):
        while True:
            try:
                return await written(store, change)
            except StoreError:
                continue
