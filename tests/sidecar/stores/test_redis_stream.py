"""What only the stream of Redis has to see: gaps, other streams, other processes."""

from collections.abc import AsyncIterator

import pytest
from moorline_sidecar.errors import HistoryLost, StoreUnavailable
from moorline_sidecar.stores.redis import RedisStore

from e2e.app.databases import Database
from tests.contract.backends import key_value_store
from tests.contract.sessions import an_end, inserted, with_attributes, written
from tests.lossy_link import lossy_link
from tests.sidecar.stores.redis_keys import raw


@pytest.fixture
def prefix(mongo_collection: str) -> str:
    return f"{mongo_collection}:"


@pytest.fixture
async def store(redis: Database, prefix: str) -> AsyncIterator[RedisStore]:
    store = key_value_store(redis.uri, prefix)
    await store.prepare()
    yield store
    await store.close()


async def changes(store: RedisStore, number: int) -> None:
    """So many events, on a session of their own."""
    session = await inserted(store)
    for n in range(number - 1):
        change = with_attributes(session, {"n": n})
        await written(store, change)
        session = change.after
    await written(store, an_end())


async def test_what_was_trimmed_is_a_gap_to_who_follows(
    store: RedisStore, redis: Database, prefix: str
) -> None:
    async with store.watch() as stream, raw(redis.uri) as client:
        await changes(store, 5)
        await client.xtrim(f"{prefix}changes", maxlen=2, approximate=False)

        with pytest.raises(HistoryLost):
            await stream.receive(0)


@pytest.mark.parametrize(("kept", "is_lost"), [(5, False), (4, True), (1, True)])
async def test_what_was_trimmed_is_a_gap_to_who_comes_back(
    store: RedisStore, redis: Database, prefix: str, kept: int, *, is_lost: bool
) -> None:
    async with store.watch() as stream:
        token = (await stream.receive(0)).token
    await changes(store, 5)
    async with raw(redis.uri) as client:
        await client.xtrim(f"{prefix}changes", maxlen=kept, approximate=False)

    if is_lost:
        with pytest.raises(HistoryLost):
            async with store.watch(token):
                pass
    else:
        async with store.watch(token) as stream:
            assert len((await stream.receive(0)).seen) == 5


async def test_a_stream_that_was_deleted_is_a_gap(
    store: RedisStore, redis: Database, prefix: str
) -> None:
    await changes(store, 3)
    async with store.watch() as stream, raw(redis.uri) as client:
        token = (await stream.receive(0)).token
        await client.delete(f"{prefix}changes")

        with pytest.raises(HistoryLost):
            await stream.receive(0)
        with pytest.raises(HistoryLost):
            async with store.watch(token):
                pass


async def test_a_stream_whose_connection_breaks_goes_on_from_its_token(
    store: RedisStore, redis: Database, prefix: str
) -> None:
    async with lossy_link(redis.uri) as link:
        linked = key_value_store(f"redis://127.0.0.1:{link.port}/0", prefix)
        async with linked.watch() as stream:
            token = (await stream.receive(0)).token
            await link.close()
            with pytest.raises(StoreUnavailable):
                await stream.receive(0)
        await changes(store, 3)
        await link.open()

        async with linked.watch(token) as stream:
            assert [seen.version for seen in (await stream.receive(0)).seen] == [2, 3, 4]
        await linked.close()


async def test_a_stream_that_does_not_reply_is_given_up(
    store: RedisStore, redis: Database, prefix: str
) -> None:
    del store
    async with lossy_link(redis.uri) as link:
        linked = key_value_store(f"redis://127.0.0.1:{link.port}/0", prefix)
        async with linked.watch() as stream:
            link.stall()
            with pytest.raises(StoreUnavailable):
                await stream.receive(0)
        await linked.close()


async def test_events_say_when_they_happened(store: RedisStore) -> None:
    async with store.watch() as stream:
        before = await store.now()
        await changes(store, 2)
        after = await store.now()

        seen = (await stream.receive(0)).seen
        assert all(each.at is not None and before <= each.at <= after for each in seen)
