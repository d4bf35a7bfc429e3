"""memcached is never a point of failure: whatever becomes of it, the store's answers are given."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from moorline_sidecar.domain.session import Session, Tombstone
from moorline_sidecar.stores.l2 import Item, L2Store
from moorline_sidecar.stores.l2_items import item_name
from moorline_sidecar.stores.memcached import GET_SECONDS, LATE_MAX, Memcached, server_of
from moorline_sidecar.stores.memory import MemoryStore

from e2e.app.databases import MemcachedServer
from tests.contract.backends import SECONDS, SettledMemcached
from tests.contract.sessions import (
    T0,
    a_session,
    an_end,
    inserted,
    stored,
    with_attributes,
    written,
)
from tests.sidecar.stores.failing import wait_until_stopped
from tests.stores_fixtures import running_database


@pytest.fixture
def server() -> Iterator[MemcachedServer]:
    """One that a test may do anything to."""
    with running_database(MemcachedServer) as server:
        yield server


@pytest.fixture
def below() -> MemoryStore:
    return MemoryStore(lambda: T0)


@asynccontextmanager
async def l2_over(
    below: MemoryStore, *addresses: str, patience: float = SECONDS
) -> AsyncIterator[tuple[L2Store, SettledMemcached]]:
    """A sidecar's view of the store, connected."""
    cache = SettledMemcached(addresses, patience=patience)
    await cache.prepare()
    try:
        yield L2Store(below, cache, "shop"), cache
    finally:
        await cache.close()


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not is_so():  # noqa: ASYNC110 nobody tells
            await asyncio.sleep(0.01)


async def test_two_sidecars_share_what_one_has_loaded(
    server: MemcachedServer, below: MemoryStore
) -> None:
    session = await inserted(below)
    async with l2_over(below, server.address) as (first, cache):
        assert await stored(first) == session
        await cache.drain()
        async with l2_over(below, server.address) as (second, _):
            assert await stored(second) == session
            assert second.counts.hits == 1


@pytest.mark.parametrize("how", ["killed", "paused", "stopped"])
async def test_a_server_that_is_gone_delays_three_reads_at_most(
    how: str, server: MemcachedServer, below: MemoryStore
) -> None:
    session = await inserted(below)
    cache = Memcached([server.address])
    store = L2Store(below, cache, "shop")
    await cache.prepare()
    {"killed": server.kill, "paused": server.pause, "stopped": server.stop}[how]()
    if server.pid is not None:
        # Until then it may answer.
        wait_until_stopped(server.pid)
    try:
        async with asyncio.timeout(SECONDS):
            for _ in range(50):
                assert await stored(store) == session
        assert store.counts.unasked >= 50 - LATE_MAX
        assert cache.errors > 0
    finally:
        if how == "paused":
            server.resume()
        await cache.close()


async def test_a_server_that_comes_later_is_used(
    server: MemcachedServer, below: MemoryStore
) -> None:
    session = await inserted(below)
    server.kill()
    async with l2_over(below, server.address) as (store, cache):
        assert await stored(store) == session
        assert store.counts.unasked == 1
        server.start()
        await until(lambda: cache.is_usable)

        assert await stored(store) == session
        assert await stored(store) == session
        assert (store.counts.misses, store.counts.hits) == (1, 1)


async def test_a_connection_that_was_cut_is_made_again(
    server: MemcachedServer, below: MemoryStore
) -> None:
    session = await inserted(below)
    async with l2_over(below, server.address, patience=GET_SECONDS) as (store, cache):
        await stored(store)
        server.kill()
        server.start()
        async with asyncio.timeout(60):
            while not store.counts.hits:
                assert await stored(store) == session
                await asyncio.sleep(0.01)
        assert cache.is_usable


async def test_what_was_flushed_is_a_miss(server: MemcachedServer, below: MemoryStore) -> None:
    session = await inserted(below)
    async with l2_over(below, server.address) as (store, cache):
        await stored(store)
        await cache.drain()
        assert await spoken(server, b"flush_all\r\n") == b"OK\r\n"

        assert await stored(store) == session
        assert store.counts.misses == 2


async def test_garbage_under_our_names_is_a_miss(
    server: MemcachedServer, below: MemoryStore
) -> None:
    session = await inserted(below)
    name = item_name("shop", session.key, session.version)
    async with l2_over(below, server.address) as (store, cache):
        await stored(store)
        await cache.drain()
        assert await spoken(server, b"set %b 7 0 7\r\ngarbage\r\n" % name) == b"STORED\r\n"

        assert await stored(store) == session
        assert (store.counts.misses, cache.errors) == (2, 0)


async def spoken(server: MemcachedServer, command: bytes) -> bytes:
    """The first line that the server answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(command)
    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", id="of something else"),
        pytest.param(b"VALUE \r\nEND\r\n", id="no length"),
        pytest.param(b"VALUE moorline 0 -1\r\nEND\r\n", id="a negative length"),
        pytest.param(b"VALUE moorline 0 99999999999\r\nEND\r\n", id="a length that is not kept"),
        pytest.param(b"VALUE moorline 0 x\r\n\xff\r\nEND\r\n", id="no number"),
        pytest.param(b"\0" * 10_000, id="zeros"),
        pytest.param(b"SERVER_ERROR out of memory\r\n", id="an error"),
        pytest.param(b"", id="the end"),
    ],
)
async def test_a_server_that_speaks_garbage_is_left_alone(reply: bytes, below: MemoryStore) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(reply)
        writer.close()

    session = await inserted(below)
    serving = await asyncio.start_server(answer, "127.0.0.1", 0)
    address = f"127.0.0.1:{serving.sockets[0].getsockname()[1]}"
    async with serving, l2_over(below, address, patience=GET_SECONDS) as (store, cache):
        assert await stored(store) == session
        assert not cache.is_usable


async def test_a_server_that_answers_late_is_left_alone(below: MemoryStore) -> None:
    is_slow = False

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readline():
                if not is_slow:
                    writer.write(b"END\r\n")
        finally:
            writer.close()

    session = await inserted(below)
    serving = await asyncio.start_server(answer, "127.0.0.1", 0)
    address = f"127.0.0.1:{serving.sockets[0].getsockname()[1]}"
    async with serving, l2_over(below, address, patience=GET_SECONDS) as (store, cache):
        assert cache.is_usable
        is_slow = True
        async with asyncio.timeout(SECONDS):
            while not store.counts.unasked:
                assert await stored(store) == session
        assert cache.errors >= LATE_MAX


async def test_a_server_without_room_keeps_nothing(below: MemoryStore) -> None:
    with running_database(MemcachedServer, "-M", "-m", "4") as server:
        async with l2_over(below, server.address) as (store, cache):
            for n in range(60):
                big = a_session(f"session-{n}", contexts={"/": {"a": "x" * 100_000}})
                await below.insert(big)
                assert await stored(store, big.key) == big
            await cache.drain()
            assert cache.errors > 0
            assert cache.is_usable


async def test_what_is_too_big_is_asked_of_the_store(
    server: MemcachedServer, below: MemoryStore
) -> None:
    big = await inserted(below, contexts={"/": {"a": "x" * (1 << 20)}})
    async with l2_over(below, server.address) as (store, cache):
        assert [await stored(store) for _ in range(2)] == [big, big]
        assert (store.counts.misses, cache.errors) == (2, 0)


async def test_with_one_of_several_servers_gone_the_others_are_used(
    server: MemcachedServer, memcached: MemcachedServer, below: MemoryStore
) -> None:
    sessions = {key: await inserted(below, key) for key in map(str, range(40))}
    both = (server.address, memcached.address)
    async with l2_over(below, *both) as (store, cache):
        await store.load(list(sessions))
        await cache.drain()
    server.kill()
    async with l2_over(below, *both) as (store, cache):
        assert await store.load(list(sessions)) == sessions
        at_the_other = [
            key for key in sessions if server_of(both, item_name("shop", key, 1)) != server.address
        ]
        assert (store.counts.hits, store.counts.misses) == (len(at_the_other), 0)
        assert store.counts.unasked == len(sessions) - len(at_the_other)


def test_names_are_spread_and_stay_where_they_are() -> None:
    addresses = ["a:1", "b:1", "c:1", "d:1"]
    names = [item_name("shop", str(n), 1) for n in range(2_000)]
    before = {name: server_of(addresses, name) for name in names}

    without = {name: server_of(["c:1", "b:1", "a:1"], name) for name in names}

    counts = [list(before.values()).count(address) for address in addresses]
    assert min(counts) > 400
    assert all(without[name] == at for name, at in before.items() if at != "d:1")


async def test_what_was_answered_as_ended_is_never_served_again(
    memcached: MemcachedServer, below: MemoryStore
) -> None:
    """Writers, readers and a logout side by side, over two sidecars."""
    async with (
        l2_over(below, memcached.address) as (first, _),
        l2_over(below, memcached.address) as (second, _),
    ):
        for round_ in range(20):
            key = f"raced-{round_}-{memcached.port}"
            await race(first, second, key)


async def race(first: L2Store, second: L2Store, key: str) -> None:
    acknowledged = 1
    has_ended = False
    session = await inserted(first, key)

    async def write() -> None:
        nonlocal acknowledged, session
        while not has_ended:
            change = with_attributes(session, {"n": session.version})
            if (await written(first, change)).name != "APPLIED":
                return
            session, acknowledged = change.after, change.after.version
            await asyncio.sleep(0)

    async def end() -> None:
        nonlocal has_ended
        await asyncio.sleep(0.005)
        await written(second, an_end(key))
        has_ended = True

    async def read(store: L2Store) -> None:
        is_last = False
        while not is_last:
            is_last = has_ended
            at_least = acknowledged
            record = await stored(store, key)
            assert record is not None
            assert record.version >= at_least
            assert isinstance(record, Tombstone) or not is_last
            if isinstance(record, Session) and record.version > 1:
                assert record.contexts["/"]["n"] == record.version - 1

    async with asyncio.TaskGroup() as tasks:
        for work in (write(), end(), read(first), read(second), read(second)):
            tasks.create_task(work)


async def test_what_waits_to_be_put_is_bounded(server: MemcachedServer) -> None:
    cache = Memcached([server.address], patience=SECONDS)
    await cache.prepare()
    for n in range(20):
        cache.put({f"name{n}".encode(): Item(b"x" * 900_000, 60)})
    await cache.close()
    assert cache.errors == 0
