"""What only the stream of Hazelcast has to see: gaps, other rings, members and writers that die."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hazelcast.asyncio import HazelcastClient
from hazelcast.core import HazelcastJsonValue
from moorline_sidecar.domain.session import Session
from moorline_sidecar.errors import HistoryLost, StoreUnavailable
from moorline_sidecar.stores.base import Seen, Stream
from moorline_sidecar.stores.hazelcast import HazelcastStore
from moorline_sidecar.stores.hazelcast_announcements import Begun, checksum, items_of
from moorline_sidecar.stores.hazelcast_announcing import Ring, ring_name, ring_of
from moorline_sidecar.stores.json_records import text_of

from e2e.app.hazelcast import CLUSTER, HazelcastMember
from tests.contract.backends import map_store
from tests.contract.sessions import a_touch, an_end, changed, inserted, with_attributes, written
from tests.lossy_link import lossy_link
from tests.sidecar.stores.crashes import until_it_answers
from tests.stores_fixtures import hazelcast_members

CAPACITY = 10_000
"""Items of a ring, as members have it by default."""

DEAD = 1
"""The number of a change whose writer dies."""


EMPTY = bytearray(b"\x90")
"""An announcement of nothing."""


@pytest.fixture
async def store(hazelcast: HazelcastMember, mongo_collection: str) -> AsyncIterator[HazelcastStore]:
    store = map_store(hazelcast.uri, mongo_collection)
    await store.prepare()
    yield store
    await store.close()


@pytest.fixture
async def raw(hazelcast: HazelcastMember) -> AsyncIterator[HazelcastClient]:
    async with raw_client(hazelcast) as client:
        yield client


@asynccontextmanager
async def raw_client(member: HazelcastMember) -> AsyncIterator[HazelcastClient]:
    client = await HazelcastClient.create_and_start(
        cluster_name=CLUSTER, cluster_members=[member.address]
    )
    try:
        yield client
    finally:
        await client.shutdown()


async def changes(store: HazelcastStore, number: int) -> None:
    """So many events, on a session of their own."""
    session = await inserted(store)
    for n in range(number - 1):
        change = with_attributes(session, {"n": n})
        await written(store, change)
        session = change.after
    await written(store, an_end())


async def overrun(ring: Ring) -> None:
    for _ in range(CAPACITY // 500 + 1):
        await ring.add_all([EMPTY] * 500)


async def begin(ring: Ring, session: Session) -> None:
    """What a writer announces that dies before anything else of it arrives."""
    dead = Begun(DEAD, session.key, session.version + 1, checksum(text_of(session)))
    await ring.add_all(items_of([dead], []))


async def until_told(stream: Stream, asked_at: int) -> list[Seen]:
    """All up to a reply that shows everything that was acknowledged before."""
    seen: list[Seen] = []
    async with asyncio.timeout(30):
        while True:
            heard = await stream.receive(asked_at)
            seen += heard.seen
            if heard.complete_until == asked_at:
                return seen


async def test_what_was_overrun_is_a_gap_to_who_follows(
    store: HazelcastStore, raw: HazelcastClient, mongo_collection: str
) -> None:
    async with store.watch() as stream:
        await changes(store, 2)
        await overrun(await ring_of(raw, ring_name(mongo_collection)))

        with pytest.raises(HistoryLost):
            await stream.receive(0)


@pytest.mark.parametrize("is_overrun", [True, False])
async def test_what_was_overrun_is_a_gap_to_who_comes_back(
    store: HazelcastStore, raw: HazelcastClient, mongo_collection: str, *, is_overrun: bool
) -> None:
    async with store.watch() as stream:
        token = (await stream.receive(0)).token
    await changes(store, 5)

    if is_overrun:
        await overrun(await ring_of(raw, ring_name(mongo_collection)))
        with pytest.raises(HistoryLost):
            async with store.watch(token):
                pass
    else:
        async with store.watch(token) as stream:
            assert [each.version for each in await until_told(stream, 1)] == [2, 3, 4, 5, 6]


@pytest.mark.parametrize("later", [0, 9], ids=["is empty", "has become as long"])
async def test_another_ring_of_the_name_is_a_gap(
    store: HazelcastStore, raw: HazelcastClient, mongo_collection: str, later: int
) -> None:
    async with store.watch() as stream:
        await changes(store, 3)
        token = (await stream.receive(0)).token
        ring = await ring_of(raw, ring_name(mongo_collection))
        await ring.destroy()
        ring = await ring_of(raw, ring_name(mongo_collection))
        for _ in range(later):
            await ring.add(EMPTY)

        with pytest.raises(HistoryLost):
            await stream.receive(0)
        with pytest.raises(HistoryLost):
            async with store.watch(token):
                pass


async def test_a_stream_begins_at_the_end_of_a_ring_that_is_full(
    store: HazelcastStore, raw: HazelcastClient, mongo_collection: str
) -> None:
    session = await inserted(store)
    change = with_attributes(session, {"n": 1})
    await written(store, change)
    await overrun(await ring_of(raw, ring_name(mongo_collection)))

    async with store.watch() as stream:
        await written(store, with_attributes(change.after, {"n": 2}))
        assert [each.version for each in await until_told(stream, 1)] == [3]


async def test_a_stream_whose_connection_breaks_goes_on_from_its_token(
    store: HazelcastStore, hazelcast: HazelcastMember, mongo_collection: str
) -> None:
    async with lossy_link(hazelcast.uri) as link:
        linked = map_store(f"hazelcast://127.0.0.1:{link.port}", mongo_collection)
        async with linked.watch() as stream:
            token = (await stream.receive(0)).token
            await link.close()
            with pytest.raises(StoreUnavailable):
                await stream.receive(0)
        await changes(store, 3)
        await link.open()
        await until_it_answers(linked)

        async with linked.watch(token) as stream:
            assert [each.version for each in await until_told(stream, 1)] == [2, 3, 4]
        await linked.close()


async def test_a_stream_that_does_not_reply_is_given_up(
    store: HazelcastStore, hazelcast: HazelcastMember, mongo_collection: str
) -> None:
    del store
    async with lossy_link(hazelcast.uri) as link:
        linked = map_store(f"hazelcast://127.0.0.1:{link.port}", mongo_collection)
        async with linked.watch() as stream:
            link.stall()
            with pytest.raises(StoreUnavailable):
                await stream.receive(0)
        await link.close()
        await linked.close()


async def test_a_change_whose_writer_has_died_is_told_until_it_cannot_be_applied_any_more(
    store: HazelcastStore, raw: HazelcastClient, mongo_collection: str
) -> None:
    session = await inserted(store)
    text, late = text_of(session), text_of(changed(session).after)
    sessions: Any = await raw.get_map(mongo_collection)
    async with store.watch() as stream:
        await begin(await ring_of(raw, ring_name(mongo_collection)), session)

        # While nothing more is known, nothing newer is shown; then it is told all the time.
        told = Seen(key=session.key, version=2)
        for asked_at in range(1, 4):
            assert set(await until_told(stream, asked_at)) == {told}
        # It arrives at last.
        arrived = await sessions.replace_if_same(
            session.key, HazelcastJsonValue(text), HazelcastJsonValue(late)
        )
        assert arrived
        assert told in await until_told(stream, 4)
        async with asyncio.timeout(30):
            while await until_told(stream, 5):
                pass


async def test_an_access_ends_what_a_dead_writer_has_begun(
    store: HazelcastStore, raw: HazelcastClient, mongo_collection: str
) -> None:
    session = await inserted(store)
    async with store.watch() as stream:
        await begin(await ring_of(raw, ring_name(mongo_collection)), session)
        assert await until_told(stream, 1)

        await store.touch([a_touch(session, session.accessed + 1_000)])

        async with asyncio.timeout(30):
            while await until_told(stream, 2):
                pass


async def test_a_stream_that_begins_later_tells_what_a_dead_writer_has_begun(
    store: HazelcastStore, raw: HazelcastClient, mongo_collection: str
) -> None:
    session = await inserted(store)
    await begin(await ring_of(raw, ring_name(mongo_collection)), session)

    async with store.watch() as stream:
        assert Seen(key=session.key, version=2) in await until_told(stream, 1)


async def test_a_change_that_could_not_be_announced_is_not_sent(
    store: HazelcastStore, hazelcast: HazelcastMember, mongo_collection: str
) -> None:
    session = await inserted(store)
    async with lossy_link(hazelcast.uri) as link:
        linked = map_store(f"hazelcast://127.0.0.1:{link.port}", mongo_collection)
        await linked.now()
        # It is in the ring, but its writer does not know that.
        link.swallow_answers()
        async with store.watch() as stream:
            with pytest.raises(StoreUnavailable):
                await written(linked, with_attributes(session, {"n": 1}))
            assert await store.load([session.key]) == {session.key: session}
            await link.close()
            await link.open()
            await until_it_answers(linked)

            other = await inserted(store, "session-2")
            await written(linked, with_attributes(other, {"n": 1}))
            # Nor is it told for ever.
            async with asyncio.timeout(30):
                while await until_told(stream, 1):
                    pass
        await linked.close()


async def test_events_say_when_they_happened(store: HazelcastStore) -> None:
    session = await inserted(store)
    async with store.watch() as stream:
        await written(store, changed(session, last_saved=session.created + 5))
        await written(store, an_end(now=session.created + 9))

        assert [each.at for each in await until_told(stream, 1)] == [
            session.created + 5,
            session.created + 9,
        ]


async def test_a_member_that_has_gone_is_a_gap() -> None:
    with hazelcast_members(2) as members:
        await one_goes(members)


async def one_goes(members: list[HazelcastMember]) -> None:
    store = map_store(f"hazelcast://{','.join(member.address for member in members)}")
    async with asyncio.timeout(60):
        while not (await store.server()).endswith("2 members"):
            pass
    session = await inserted(store)
    async with store.watch() as stream:
        await written(store, with_attributes(session, {"n": 1}))
        assert [each.version for each in await until_told(stream, 1)] == [2]
        await asyncio.to_thread(members[0].kill)
        with pytest.raises(HistoryLost):
            async with asyncio.timeout(30):
                await until_lost(stream)
    await until_it_answers(store)

    async with store.watch() as stream:
        await written(store, an_end())
        assert [each.version for each in await until_told(stream, 1)] == [3]
        # One that comes in addition takes nothing with it.
        await asyncio.to_thread(members[0].start)
        async with asyncio.timeout(60):
            while not (await store.server()).endswith("2 members"):
                pass
        assert await until_told(stream, 2) == []
    await store.close()


async def until_lost(stream: Stream) -> None:
    while True:
        try:
            await stream.receive(0)
        except StoreUnavailable:
            continue


async def test_a_cluster_that_was_away_as_a_whole_is_a_gap(
    hazelcast: HazelcastMember, store: HazelcastStore
) -> None:
    async with store.watch() as stream:
        await changes(store, 3)
        token = (await stream.receive(0)).token
    await asyncio.to_thread(hazelcast.kill)
    await asyncio.to_thread(hazelcast.start)
    await until_it_answers(store)
    # The new ring is as long as the old one was.
    await changes(store, 3)

    with pytest.raises(HistoryLost):
        async with store.watch(token):
            pass
