"""What is MongoDB's own about streams: refusals, gaps, links that break, and how far one got."""

import asyncio

import pytest
from bson.timestamp import Timestamp
from moorline_sidecar.errors import HistoryLost, StoreUnavailable, StreamUnsupported
from moorline_sidecar.stores.base import Seen, Stream
from moorline_sidecar.stores.mongodb import MongoStore
from moorline_sidecar.stores.mongodb_documents import seen_of
from moorline_sidecar.stores.mongodb_replies import LastReply, Progress, position_of

from tests.contract.backends import mongo_store
from tests.contract.sessions import inserted, with_attributes, written
from tests.sidecar.stores.fail_points import FailPoints
from tests.sidecar.stores.raw import raw_collection

SECONDS = 30


async def receive_until(stream: Stream, error: type[Exception]) -> None:
    async def receive() -> None:
        async with asyncio.timeout(SECONDS):
            while True:
                await stream.receive(0)

    with pytest.raises(error):
        await receive()


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(40573, id="a server on its own"),
        pytest.param(40324, id="a server that does not know the stage"),
        pytest.param(13, id="a user who may not"),
    ],
)
async def test_a_server_that_refuses_has_no_streams(
    store: MongoStore, fail: FailPoints, code: int
) -> None:
    await inserted(store)
    await fail.next("aggregate", errorCode=code)
    with pytest.raises(StreamUnsupported):
        async with store.watch():
            pass


async def test_wrong_credentials_are_no_word_on_streams(
    store: MongoStore, fail: FailPoints
) -> None:
    await inserted(store)
    await fail.next("aggregate", errorCode=18)
    with pytest.raises(StoreUnavailable):
        async with store.watch():
            pass


async def test_a_token_that_the_server_does_not_take_is_lost_history(
    store: MongoStore, fail: FailPoints
) -> None:
    await inserted(store)
    async with store.watch() as stream:
        token = (await stream.receive(0)).token
    await fail.next("aggregate", errorCode=286)
    with pytest.raises(HistoryLost):
        async with store.watch(token):
            pass


async def test_a_stream_whose_history_is_gone_says_so(store: MongoStore, fail: FailPoints) -> None:
    await inserted(store)
    async with store.watch() as stream:
        await stream.receive(0)
        await fail.next("getMore", errorCode=286)
        await receive_until(stream, HistoryLost)


async def test_a_token_is_of_no_use_under_another_uri(
    store: MongoStore, mongo_uri: str, mongo_collection: str
) -> None:
    await inserted(store)
    async with store.watch() as stream:
        token = (await stream.receive(0)).token
    other = mongo_store(mongo_uri, mongo_collection)
    with pytest.raises(HistoryLost):
        async with other.watch(token):
            pass
    await other.close()


async def test_a_collection_that_is_dropped_leaves_nothing_to_go_on_from(
    store: MongoStore, mongo_uri: str, mongo_collection: str
) -> None:
    await inserted(store)
    async with store.watch() as stream:
        await stream.receive(0)
        async with raw_collection(mongo_uri, mongo_collection) as raw:
            await raw.drop()
        await receive_until(stream, HistoryLost)


async def test_a_connection_that_breaks_loses_nothing(store: MongoStore, fail: FailPoints) -> None:
    session = await inserted(store)
    seen: list[Seen] = []
    async with store.watch() as stream, asyncio.timeout(SECONDS):
        await stream.receive(0)
        await fail.next("getMore", closeConnection=True)
        await written(store, with_attributes(session, {"n": 1}))
        while not seen:
            seen.extend((await stream.receive(0)).seen)
    assert [each.version for each in seen] == [2]


async def test_what_a_person_does_in_the_shell_is_told(
    store: MongoStore, mongo_uri: str, mongo_collection: str
) -> None:
    await inserted(store)
    seen: list[Seen] = []
    async with (
        store.watch() as stream,
        raw_collection(mongo_uri, mongo_collection) as raw,
        asyncio.timeout(SECONDS),
    ):
        await raw.replace_one({"_id": "session-1"}, {"valid": True, "version": 7})
        await raw.replace_one({"_id": "session-1"}, {"valid": False, "version": 8})
        await raw.delete_one({"_id": "session-1"})
        while len(seen) < 3:
            seen.extend((await stream.receive(0)).seen)
    assert [(each.version, each.is_valid) for each in seen] == [
        (7, True),
        (8, False),
        (None, True),
    ]


@pytest.mark.parametrize(
    ("event", "told"),
    [
        pytest.param({"operationType": "drop"}, None, id="about no document"),
        pytest.param({"documentKey": {"_id": 7}}, None, id="about no session"),
        pytest.param({"documentKey": {"_id": "k"}}, Seen(key="k", version=None), id="nothing else"),
        pytest.param(
            {"documentKey": {"_id": "k"}, "fullDocument": None},
            Seen(key="k", version=None, is_valid=False),
            id="a document that is gone",
        ),
    ],
)
def test_an_event_is_read_with_tolerance(event: dict[str, object], told: Seen | None) -> None:
    assert seen_of(event) == told


@pytest.mark.parametrize(
    ("token", "position"),
    [
        pytest.param(
            {"_data": "8265F0C1A2000000032B022C0100296E5A1004"},
            Timestamp(0x65F0C1A2, 3),
            id="MongoDB",
        ),
        pytest.param({"_data": "3c00000010730002"}, None, id="another server"),
        pytest.param({"_data": b"82"}, None, id="bytes"),
        pytest.param({}, None, id="empty"),
        pytest.param(None, None, id="none"),
    ],
)
def test_a_token_shows_how_far_the_stream_got(
    token: dict[str, object] | None, position: Timestamp | None
) -> None:
    assert position_of(token) == position


def test_the_time_of_a_reply_is_that_of_the_cluster() -> None:
    reply = LastReply()
    reply.take(
        "getMore",
        {
            "cursor": {"nextBatch": [{}, {}]},
            "operationTime": Timestamp(5, 1),
            "$clusterTime": {"clusterTime": Timestamp(9, 1)},
        },
    )
    assert (reply.size, reply.is_of_get_more, reply.time) == (2, True, Timestamp(9, 1))
    reply.take("aggregate", {"cursor": {"firstBatch": []}, "operationTime": Timestamp(5, 1)})
    assert (reply.size, reply.is_of_get_more, reply.time) == (0, False, Timestamp(5, 1))


def at(second: int, increment: int = 1) -> Timestamp:
    return Timestamp(second, increment)


def test_a_stream_that_keeps_up_is_complete_until_each_question() -> None:
    progress = Progress()
    assert progress.complete_until(100, at(5), at(5)) == 100
    assert progress.complete_until(600, at(5, 2), at(6)) == 600


def test_replies_of_a_stream_that_stands_still_prove_nothing() -> None:
    progress = Progress()
    assert progress.complete_until(100, at(5), at(5)) == 100
    for number in range(2_000):
        assert progress.complete_until(600 + number, at(6 + number), at(5)) is None


def test_a_stream_that_lags_is_complete_until_the_question_that_it_has_reached() -> None:
    progress = Progress()
    assert progress.complete_until(100, at(5), at(4)) is None
    assert progress.complete_until(600, at(6), at(5, 9)) == 100
    assert progress.complete_until(1_100, at(7), at(7)) == 1_100
