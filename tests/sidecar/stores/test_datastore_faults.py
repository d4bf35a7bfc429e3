"""What a Datastore store answers when a call goes wrong: perhaps applied, or surely not."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeAlias

import pytest
from moorline_sidecar.errors import AlreadyExists, OutcomeUnknown, StoreUnavailable, TooLarge
from moorline_sidecar.stores.base import Outcome, Purge, PurgeKind
from moorline_sidecar.stores.datastore import DatastoreStore

from e2e.app.datastore import DatastoreServer
from tests.contract.backends import entity_store
from tests.contract.sessions import (
    T0,
    a_session,
    a_touch,
    an_end,
    inserted,
    stored,
    stored_session,
    with_attributes,
    written,
)
from tests.lossy_link import LossyLink, lossy_link
from tests.sidecar.stores.crashes import until_it_answers
from tests.sidecar.stores.losing_server import LosingServer, losing_server

Call: TypeAlias = Callable[[DatastoreStore], Awaitable[object]]

NEW: Final = a_session("new", write_id="by the insert")
SESSIONS: Final = [a_session(str(n)) for n in range(3)]
COPY: Final = a_session("copy", renew_of="origin")
KEYS: Final = ["new", "0", "1", "2", "copy"]
PURGE: Final = Purge(kind=PurgeKind.INVALID, before=T0, now=T0)

TO_BE: Final = {"to be": 1}

# With each what only its request to change something holds.
WRITES: Final[dict[str, tuple[bytes, Call]]] = {
    "insert": (b"by the insert", lambda store: store.insert(NEW)),
    "one change": (b"to be", lambda store: store.write([with_attributes(SESSIONS[0], TO_BE)])),
    "an end": (b'"reason":"logout"', lambda store: store.write([an_end("0")])),
    "many": (b"to be", lambda store: store.write([with_attributes(s, TO_BE) for s in SESSIONS])),
    "touch": (b"node7", lambda store: store.touch([a_touch(s, T0 + 9) for s in SESSIONS])),
}
READS: Final[dict[str, Call]] = {
    "load": lambda store: store.load(["0", "1"]),
    "confirm": lambda store: store.confirm(["0"]),
    "expired": lambda store: store.expired(T0, 0),
    "by principal": lambda store: store.by_principal("ada", None, 10),
    "count": lambda store: store.count(),
    "now": lambda store: store.now(),
    "server": lambda store: store.server(),
    "purgeable": lambda store: store.purgeable(PURGE, 10),
}
EVERYTHING: Final[dict[str, Call]] = {
    **{name: call for name, (_, call) in WRITES.items()},
    "settle": lambda store: store.settle("copy", "origin"),
    "discard": lambda store: store.discard("copy", "origin", 1),
    **READS,
}


@pytest.fixture
async def store(datastore: DatastoreServer, mongo_collection: str) -> AsyncIterator[DatastoreStore]:
    store = entity_store(datastore.uri, mongo_collection)
    yield store
    await store.close()


@pytest.fixture
async def link(datastore: DatastoreServer) -> AsyncIterator[LossyLink]:
    async with lossy_link(datastore.uri) as link:
        yield link


@pytest.fixture
async def linked(link: LossyLink, mongo_collection: str) -> AsyncIterator[DatastoreStore]:
    """The same data as `store`, over the link."""
    store = entity_store(f"datastore://127.0.0.1:{link.port}", mongo_collection)
    await store.now()
    yield store
    await store.close()


@pytest.fixture
async def losing(datastore: DatastoreServer) -> AsyncIterator[LosingServer]:
    async with losing_server(datastore.address) as losing:
        yield losing


@pytest.fixture
async def unlucky(losing: LosingServer, mongo_collection: str) -> AsyncIterator[DatastoreStore]:
    """The same data as `store`, by way of a server that loses answers."""
    store = entity_store(f"datastore://{losing.address}", mongo_collection)
    yield store
    await store.close()


async def fill(store: DatastoreStore) -> None:
    for session in (*SESSIONS, COPY):
        await store.insert(session)


@pytest.mark.parametrize(("request_holds", "call"), WRITES.values(), ids=WRITES.keys())
async def test_a_write_whose_answer_was_lost_may_have_been_applied(
    store: DatastoreStore,
    unlucky: DatastoreStore,
    losing: LosingServer,
    request_holds: bytes,
    call: Call,
) -> None:
    await fill(store)
    before = await store.load(KEYS)
    losing.lose_answer_after(request_holds)

    with pytest.raises(OutcomeUnknown):
        await call(unlucky)

    assert await store.load(KEYS) != before


async def test_writes_whose_answers_were_lost_are_known_again(
    store: DatastoreStore, unlucky: DatastoreStore, losing: LosingServer
) -> None:
    await fill(store)
    changes = [with_attributes(session, TO_BE) for session in SESSIONS]
    losing.lose_answer_after(b"to be")

    with pytest.raises(OutcomeUnknown):
        await unlucky.write(changes)

    assert await unlucky.write(changes) == [Outcome.APPLIED] * 3
    assert list((await store.load(["0", "1", "2"])).values()) == [c.after for c in changes]


async def test_an_insert_whose_answer_was_lost_is_known_again(
    store: DatastoreStore, unlucky: DatastoreStore, losing: LosingServer
) -> None:
    losing.lose_answer_after(b"by the insert")

    with pytest.raises(OutcomeUnknown):
        await unlucky.insert(NEW)

    with pytest.raises(AlreadyExists):
        await unlucky.insert(NEW)
    assert (await stored_session(store, "new")).write_id == NEW.write_id


async def test_a_connection_that_went_stale_is_replaced_unnoticed(
    store: DatastoreStore, linked: DatastoreStore, link: LossyLink
) -> None:
    session = await inserted(store)
    await linked.load(["session-1"])
    await link.close()
    await link.open()

    assert await stored(linked) == session
    change = with_attributes(session, TO_BE)
    assert await written(linked, change) is Outcome.APPLIED


async def test_a_server_out_of_reach_is_unavailable_and_comes_back(
    store: DatastoreStore, linked: DatastoreStore, link: LossyLink
) -> None:
    await fill(store)
    await link.close()
    with pytest.raises(StoreUnavailable):
        await linked.now()

    results = await asyncio.gather(
        *(call(linked) for call in EVERYTHING.values()), return_exceptions=True
    )

    assert [type(result) for result in results] == [StoreUnavailable] * len(EVERYTHING)
    await link.open()
    await until_it_answers(linked)
    assert await linked.load(["0"]) == {"0": SESSIONS[0]}


async def test_a_call_that_gets_no_answer_ends_in_time_and_tells_what_it_may_have_done(
    store: DatastoreStore, linked: DatastoreStore, link: LossyLink
) -> None:
    await fill(store)
    before = await store.load(KEYS)
    # Nobody waits for counting what would be purged: it may take longer.
    calls = {name: call for name, call in EVERYTHING.items() if name != "purgeable"}
    link.stall()

    async with asyncio.timeout(10):
        results = await asyncio.gather(
            *(call(linked) for call in calls.values()), return_exceptions=True
        )

    found = dict(zip(calls, map(type, results), strict=True))
    # All the others have to read first, and had sent nothing yet.
    assert found == {
        name: OutcomeUnknown if name == "insert" else StoreUnavailable for name in found
    }
    assert await store.load(KEYS) == before
    await link.close()
    await link.open()
    await until_it_answers(linked)
    assert await linked.load(KEYS) == before


async def test_calls_that_are_given_up_at_any_moment_apply_whole_or_not_at_all(
    store: DatastoreStore,
) -> None:
    session = await inserted(store, contexts={"/": {}})
    for n in range(30):
        change = with_attributes(session, {f"a{n}": n, f"b{n}": n})
        try:
            async with asyncio.timeout(0.0005 * n):
                await store.write([change])
        except TimeoutError:
            pass
        found = await stored_session(store)
        if found.version == session.version:
            # It may yet be under way: the next write, by the same version, is what decides.
            assert await written(store, change) is Outcome.APPLIED
        assert await stored(store) == change.after
        session = change.after


async def test_a_frozen_server_is_given_up_in_time_and_served_from_again(
    datastore: DatastoreServer, store: DatastoreStore
) -> None:
    await fill(store)
    assert datastore.pid is not None
    os.kill(datastore.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        results = await asyncio.gather(store.load(["0"]), store.insert(NEW), return_exceptions=True)
        # On a connection of its own, which nobody greets.
        with pytest.raises(StoreUnavailable):
            await store.load(["0"])
        seconds = time.monotonic() - began
    finally:
        os.kill(datastore.pid, signal.SIGCONT)

    assert [type(result) for result in results] == [StoreUnavailable, OutcomeUnknown]
    assert seconds < 15
    await until_it_answers(store)
    assert await stored(store, "0") == SESSIONS[0]


async def test_a_writer_against_a_logout_leaves_the_session_ended(
    store: DatastoreStore, linked: DatastoreStore
) -> None:
    for n in range(10):
        session = await inserted(store, f"raced-{n}")

        changed, ended = await asyncio.gather(
            written(linked, with_attributes(session, TO_BE)), written(store, an_end(session.key))
        )

        assert ended is Outcome.APPLIED
        assert changed in {Outcome.APPLIED, Outcome.ENDED}
        assert not (await store.confirm([session.key]))[session.key].is_valid


async def test_of_two_writers_of_one_version_one_is_told_of_the_other(
    store: DatastoreStore, linked: DatastoreStore
) -> None:
    for n in range(10):
        session = await inserted(store, f"raced-{n}")

        outcomes = await asyncio.gather(
            written(linked, with_attributes(session, {"mine": n})),
            written(store, with_attributes(session, {"yours": n})),
        )

        assert sorted(each.name for each in outcomes) == ["APPLIED", "CONFLICT"]
        found = await stored_session(store, session.key)
        assert found.version == session.version + 1


async def test_what_datastore_would_not_take_is_told_as_too_large(store: DatastoreStore) -> None:
    large = {"large": "x" * (1 << 20)}
    await fill(store)

    with pytest.raises(TooLarge):
        await store.insert(with_attributes(NEW, large).after)
    outcomes = await store.write(
        [with_attributes(SESSIONS[0], large), with_attributes(SESSIONS[1], TO_BE)]
    )

    assert outcomes == [Outcome.TOO_LARGE, Outcome.APPLIED]
    assert await stored(store, "0") == SESSIONS[0]
