import asyncio
import time

import pytest
from moorline_sidecar.domain.session import Mark
from moorline_sidecar.errors import AlreadyExists
from moorline_sidecar.stores.base import Outcome, SessionStore

from tests.contract.sessions import (
    T0,
    a_session,
    an_end,
    inserted,
    stored,
    stored_tombstone,
    with_attributes,
    written,
)

FULL = a_session(
    version=7,
    deadline=T0 + 86_400_000,
    principal="ada",
    recent=("one", "two"),
    renew_of="its origin",
    contexts={"/": {}, "/shop": {"a.b": {"$set": [None, True, 1, 1.0, "x"]}}},
)

SESSIONS = {
    "with everything": FULL,
    "with the least": a_session(expiry=None, max_idle_ms=0, write_id="", contexts={}),
    "with an expiry at its deadline": a_session(expiry=T0 + 5, deadline=T0 + 5, max_idle_ms=0),
    "long before 1970": a_session(created=-1, accessed=-1, last_accessed=-1, expiry=0),
}


@pytest.mark.parametrize("session", SESSIONS.values(), ids=SESSIONS.keys())
async def test_what_is_inserted_is_loaded(store: SessionStore, session: object) -> None:
    assert isinstance(session, type(FULL))
    await store.insert(session)

    assert await store.load([session.key]) == {session.key: session}


async def test_what_one_process_stores_another_one_sees(
    store: SessionStore, other: SessionStore
) -> None:
    session = await inserted(store)

    assert await stored(other) == session


async def test_loading_leaves_out_what_does_not_exist(store: SessionStore) -> None:
    session = await inserted(store, "here")

    assert await store.load(["here", "nowhere"]) == {"here": session}
    assert await store.load([]) == {}


async def test_many_are_loaded_at_once(store: SessionStore) -> None:
    sessions = {key: await inserted(store, key) for key in map(str, range(250))}

    assert await store.load(list(sessions)) == sessions


async def test_a_mark_tells_whether_a_copy_holds(store: SessionStore) -> None:
    session = await inserted(store, "alive", version=7)
    await inserted(store, "dead")
    await written(store, an_end("dead"))

    marks = await store.confirm(["alive", "dead", "nowhere"])

    assert marks.keys() == {"alive", "dead"}
    assert marks["alive"] == Mark(
        version=7,
        is_valid=True,
        accessed=session.accessed,
        last_accessed=session.last_accessed,
        expiry=session.expiry,
        max_idle_ms=session.max_idle_ms,
        last_node=session.last_node,
        last_saved=session.last_saved,
        write_id=session.write_id,
    )
    assert (marks["dead"].version, marks["dead"].is_valid) == (2, False)
    assert await store.confirm([]) == {}


async def test_a_key_is_given_once(store: SessionStore, other: SessionStore) -> None:
    session = await inserted(store)

    with pytest.raises(AlreadyExists):
        await other.insert(a_session(contexts={}))

    assert await stored(store) == session


async def test_the_key_of_an_ended_session_is_never_given_again(store: SessionStore) -> None:
    await inserted(store)
    await written(store, an_end())

    with pytest.raises(AlreadyExists):
        await store.insert(a_session())

    await stored_tombstone(store)


async def test_of_many_who_insert_a_key_at_once_one_wins(
    store: SessionStore, other: SessionStore
) -> None:
    sessions = [a_session(contexts={"/": {"n": n}}) for n in range(10)]

    results = await asyncio.gather(
        *((store, other)[n % 2].insert(session) for n, session in enumerate(sessions)),
        return_exceptions=True,
    )

    winners = [session for session, result in zip(sessions, results, strict=True) if result is None]
    assert len(winners) == 1
    assert sum(isinstance(result, AlreadyExists) for result in results) == 9
    assert await stored(store) == winners[0]


async def test_an_insert_without_an_answer_is_known_by_its_write_id(store: SessionStore) -> None:
    session = await inserted(store)

    with pytest.raises(AlreadyExists):
        await store.insert(session)

    found = await stored(store)
    assert found is not None
    assert found.write_id == session.write_id


async def test_a_write_to_what_does_not_exist_creates_nothing(store: SessionStore) -> None:
    never_stored = a_session()

    assert await written(store, with_attributes(never_stored, {"a": 1})) is Outcome.ABSENT
    assert await written(store, an_end()) is Outcome.ABSENT
    assert await stored(store) is None
    assert await store.count() == 0


async def test_the_store_counts_its_records(store: SessionStore) -> None:
    for key in ("one", "two", "three"):
        await inserted(store, key)
    await written(store, an_end("two"))

    assert await store.count() == 3


async def test_the_time_of_the_store_is_that_of_its_server(store: SessionStore) -> None:
    before = time.time_ns() // 1_000_000
    told = await store.now()
    after = time.time_ns() // 1_000_000

    # The servers of the tests run on this machine.
    assert before <= told <= after


async def test_preparing_twice_is_preparing_once(store: SessionStore, other: SessionStore) -> None:
    session = await inserted(store)

    first = await store.prepare()

    assert await other.prepare() == first
    assert await stored(store) == session


async def test_a_store_tells_what_it_is(store: SessionStore) -> None:
    assert await store.server()
