"""What an Infinispan store answers when a call goes wrong: perhaps applied, or surely not."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

import pytest
from moorline_sidecar.errors import AlreadyExists, OutcomeUnknown, StoreUnavailable
from moorline_sidecar.stores import infinispan_wire as wire
from moorline_sidecar.stores.base import Outcome
from moorline_sidecar.stores.infinispan import InfinispanStore
from moorline_sidecar.stores.infinispan_records import CLOCK_VALUE, key_of

from e2e.app.databases import DATABASE
from e2e.app.infinispan import InfinispanServer
from tests.contract.backends import cache_store
from tests.contract.sessions import (
    a_session,
    an_end,
    inserted,
    stored,
    stored_session,
    with_attributes,
    written,
)
from tests.infinispan_raw import emptied, raw_connection
from tests.lossy_link import LossyLink, lossy_link
from tests.sidecar.stores import failing
from tests.sidecar.stores.crashes import until_it_answers
from tests.sidecar.stores.failing import NEW, SESSIONS, WRITES, fill
from tests.sidecar.stores.network_faults import *  # noqa: F403 - tests, collected here

REPLACES: Final = bytes((wire.VERSION, wire.Operation.REPLACE_IF_SAME))
REMOVES: Final = bytes((wire.VERSION, wire.Operation.REMOVE_IF_SAME))


# What only the request to change something holds.
HOLDS: Final = {
    "insert": b"by the insert",
    "one change": b"to be",
    "an end": b'"reason":"logout"',
    "many": b"to be",
    "touch": b"node7",
    "settle": REPLACES,
    "discard": REMOVES,
}


CACHE: Final = "faults"


@pytest.fixture
async def store(infinispan: InfinispanServer) -> AsyncIterator[InfinispanStore]:
    await emptied(infinispan.uri, CACHE)
    store = cache_store(infinispan.uri, CACHE)
    await store.prepare()
    yield store
    await store.close()


@pytest.fixture
async def link(infinispan: InfinispanServer) -> AsyncIterator[LossyLink]:
    async with lossy_link(infinispan.uri) as link:
        yield link


@pytest.fixture
async def linked(infinispan: InfinispanServer, link: LossyLink) -> AsyncIterator[InfinispanStore]:
    """The same data as `store`, over the link."""
    store = cache_store(infinispan.uri_of(DATABASE, DATABASE, link.port), CACHE)
    await until_it_answers(store)
    yield store
    await store.close()


@pytest.mark.parametrize(("name", "holds"), HOLDS.items(), ids=HOLDS.keys())
async def test_a_write_whose_answer_was_lost_may_have_been_applied(
    store: InfinispanStore,
    linked: InfinispanStore,
    link: LossyLink,
    name: str,
    holds: bytes,
) -> None:
    await failing.check_lost_answer(store, linked, WRITES[name], link.lose_answer_after, holds)


async def test_a_call_that_gets_no_answer_ends_in_time_and_tells_what_it_may_have_done(
    store: InfinispanStore, linked: InfinispanStore, link: LossyLink
) -> None:
    found = await failing.unanswered(store, linked, link)

    # What has to read first had sent nothing yet, and connections are waited for.
    assert found.pop("insert") in {OutcomeUnknown, StoreUnavailable}
    assert set(found.values()) == {StoreUnavailable}


async def test_a_frozen_server_is_given_up_in_time_and_served_from_again(
    infinispan: InfinispanServer, store: InfinispanStore
) -> None:
    await fill(store)
    with failing.frozen(infinispan):
        began = time.monotonic()
        with pytest.raises(OutcomeUnknown):
            await store.insert(NEW)
        with pytest.raises(StoreUnavailable):
            await store.load(["0"])
        seconds = time.monotonic() - began

    assert seconds < 10
    await until_it_answers(store)
    # What was in doubt was only late.
    async with asyncio.timeout(30):
        while await stored(store, "new") != NEW:
            pass


async def test_of_many_who_write_at_once_nobody_loses_anything(
    infinispan: InfinispanServer, store: InfinispanStore
) -> None:
    """What the whole store rests on: the server replaces an entry only if it is as it was read."""
    await inserted(store, contexts={"/": {"n": 0}})
    others = [cache_store(infinispan.uri, CACHE) for _ in range(4)]

    async def count_up(name: str, other: InfinispanStore) -> None:
        """A call that the server is too slow for, a log-in with it, may have been applied."""
        acknowledged = applied = 0
        while applied < 25:
            with suppress(StoreUnavailable, OutcomeUnknown):
                session = await stored_session(other)
                found = session.contexts["/"]
                applied = found.get(name, 0)
                assert applied >= acknowledged
                change = with_attributes(session, {"n": found["n"] + 1, name: applied + 1})
                if applied < 25 and await written(other, change) is Outcome.APPLIED:
                    acknowledged = applied + 1

    await asyncio.gather(*(count_up(f"by {n}", other) for n, other in enumerate(others)))

    session = await stored_session(store)
    assert session.contexts["/"] == {"n": 100, **{f"by {n}": 25 for n in range(4)}}
    assert session.version == 101
    for other in others:
        await other.close()


async def test_a_value_that_is_no_session_is_nobodys(
    infinispan: InfinispanServer, store: InfinispanStore
) -> None:
    await fill(store)
    async with raw_connection(infinispan.uri) as raw:
        await raw.ask(wire.put(CACHE, key_of("taken"), CLOCK_VALUE))

    assert await store.load(["0", "taken"]) == {"0": SESSIONS[0]}
    assert await written(store, an_end("taken")) is Outcome.ABSENT
    with pytest.raises(AlreadyExists):
        await store.insert(a_session("taken"))
