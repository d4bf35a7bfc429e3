import asyncio

from moorline_sidecar.stores.base import Outcome, SessionStore
from msgspec.structs import replace

from tests.contract.sessions import (
    IDLE,
    T0,
    a_session,
    a_touch,
    changed,
    inserted,
    stored,
    stored_session,
    with_attributes,
    written,
)

LATER = T0 + 60_000


async def test_a_touch_writes_times_and_nothing_else(
    store: SessionStore, other: SessionStore
) -> None:
    session = await inserted(store)

    await store.touch([a_touch(session, LATER)])

    assert await stored(other) == replace(
        session,
        accessed=LATER,
        last_accessed=T0,
        expiry=LATER + IDLE,
        last_node="node7",
        last_saved=LATER + 3,
    )


async def test_a_touch_leaves_the_version_to_changes(store: SessionStore) -> None:
    session = await inserted(store)
    await store.touch([a_touch(session, LATER)])

    assert await written(store, with_attributes(session, {"a": 1})) is Outcome.APPLIED


async def test_a_touch_of_the_same_moment_counts(store: SessionStore) -> None:
    session = await inserted(store)

    await store.touch([a_touch(session, T0, last_node="node9")])

    assert (await stored_session(store)).last_node == "node9"


async def test_a_touch_never_takes_an_access_back(store: SessionStore) -> None:
    session = await inserted(store)
    await store.touch([a_touch(session, LATER)])
    touched = await stored_session(store)

    await store.touch([a_touch(session, LATER - 1)])

    assert await stored(store) == touched


async def test_a_touch_by_another_maximum_is_void(store: SessionStore) -> None:
    session = await inserted(store)
    shorter = changed(session, max_idle_ms=1_000, expiry=T0 + 1_000)
    await written(store, shorter)

    await store.touch([a_touch(session, LATER)])

    assert await stored(store) == shorter.after


async def test_a_session_that_never_expires_is_touched_too(store: SessionStore) -> None:
    session = await inserted(store, max_idle_ms=0, expiry=None)

    await store.touch([a_touch(session, LATER, expiry=None)])

    found = await stored_session(store)
    assert (found.accessed, found.expiry) == (LATER, None)


async def test_many_are_touched_at_once_each_by_its_own_condition(store: SessionStore) -> None:
    sessions = [await inserted(store, f"session-{n}") for n in range(50)]
    absent = a_session("absent")
    accessed_later = await inserted(store, "later", accessed=LATER + 1)

    await store.touch([a_touch(session, LATER) for session in [*sessions, absent, accessed_later]])

    found = await store.load([session.key for session in sessions])
    assert {record.accessed for record in found.values()} == {LATER}
    assert await stored(store, "later") == accessed_later
    assert await stored(store, "absent") is None
    await store.touch([])


async def test_of_touches_that_race_the_latest_access_stays(
    store: SessionStore, other: SessionStore
) -> None:
    session = await inserted(store)

    await asyncio.gather(
        *((store, other)[n % 2].touch([a_touch(session, LATER + n)]) for n in range(10))
    )

    found = await stored_session(store)
    assert (found.accessed, found.expiry) == (LATER + 9, LATER + 9 + IDLE)
