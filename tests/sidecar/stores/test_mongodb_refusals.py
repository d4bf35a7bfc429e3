"""What the server does not take, for its size or for a reason of its own, concerns nobody else."""

import pytest
from moorline_sidecar.errors import StoreUnavailable, TooLarge
from moorline_sidecar.stores.base import Outcome
from moorline_sidecar.stores.mongodb import MongoStore

from tests.contract.sessions import (
    a_session,
    an_end,
    changed,
    inserted,
    stored,
    stored_session,
    with_attributes,
    written,
)
from tests.sidecar.stores.raw import raw_collection

TEN_MEGABYTES = "x" * 10_000_000
SEVENTEEN_MEGABYTES = "x" * 17_000_000


async def test_a_session_beyond_the_limit_of_the_server_is_not_inserted(store: MongoStore) -> None:
    with pytest.raises(TooLarge) as refused:
        await store.insert(a_session(contexts={"/": {"a": SEVENTEEN_MEGABYTES}}))

    assert refused.value.size > refused.value.limit == 16 * 1024 * 1024
    assert await stored(store) is None


@pytest.mark.parametrize(
    ("first", "second"),
    [("small", SEVENTEEN_MEGABYTES), (TEN_MEGABYTES, TEN_MEGABYTES)],
    ids=["the change", "what comes of it"],
)
async def test_a_change_beyond_the_limit_of_the_server_is_not_applied(
    store: MongoStore, first: str, second: str
) -> None:
    session = await inserted(store, contexts={"/": {"first": first}})

    outcome = await written(store, with_attributes(session, {"second": second}))

    assert outcome is Outcome.TOO_LARGE
    assert (await stored_session(store)).version == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [("small", SEVENTEEN_MEGABYTES), (TEN_MEGABYTES, TEN_MEGABYTES)],
    ids=["the change", "what comes of it"],
)
async def test_one_that_is_too_large_does_not_fail_its_neighbours(
    store: MongoStore, first: str, second: str
) -> None:
    small = await inserted(store, "small")
    large = await inserted(store, "large", contexts={"/": {"first": first}})
    await inserted(store, "ended")

    outcomes = await store.write(
        [
            with_attributes(small, {"a": 1}),
            with_attributes(large, {"second": second}),
            an_end("ended"),
        ]
    )

    assert outcomes == [Outcome.APPLIED, Outcome.TOO_LARGE, Outcome.APPLIED]


async def test_what_a_context_that_is_no_object_refuses_does_not_fail_its_neighbours(
    store: MongoStore, mongo_uri: str, mongo_collection: str
) -> None:
    edited = await inserted(store, "edited", contexts={})
    other = await inserted(store, "other")
    async with raw_collection(mongo_uri, mongo_collection) as collection:
        await collection.update_one({"_id": "edited"}, {"$set": {"context": {"/": 5}}})
    edited = await stored_session(store, "edited")

    outcomes = await store.write(
        [with_attributes(edited, {"a": 1}), with_attributes(other, {"a": 1})]
    )

    assert outcomes == [Outcome.REFUSED, Outcome.APPLIED]
    assert await written(store, with_attributes(edited, {"a": 1})) is Outcome.REFUSED


async def test_what_a_rule_of_the_collection_refuses_was_surely_not_applied(
    store: MongoStore, mongo_uri: str, mongo_collection: str
) -> None:
    session = await inserted(store, "there")
    async with raw_collection(mongo_uri, mongo_collection) as collection:
        await collection.database.command(
            {"collMod": mongo_collection, "validator": {"principal": {"$exists": False}}}
        )

    with pytest.raises(StoreUnavailable):
        await store.insert(a_session("new", principal="ada"))

    assert await stored(store, "new") is None
    assert await written(store, changed(session, principal="ada")) is Outcome.REFUSED
    assert await stored(store, "there") == session
