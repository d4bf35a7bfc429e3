import asyncio
from typing import Final

import pytest
from moorline_sidecar.domain.session import Reason, Session, Tombstone
from moorline_sidecar.stores.base import (
    AccessGuard,
    Outcome,
    Purge,
    PurgeKind,
    SessionStore,
    Write,
)
from msgspec.structs import replace

from tests.contract.sessions import (
    IDLE,
    T0,
    a_session,
    a_touch,
    access_of,
    an_end,
    changed,
    inserted,
    stored,
    stored_tombstone,
    with_attributes,
    written,
)
from tests.sidecar.stores.failing import in_time


@pytest.mark.parametrize("reason", Reason)
async def test_an_end_leaves_a_tombstone(
    store: SessionStore, other: SessionStore, reason: Reason
) -> None:
    session = await inserted(store, version=3, principal="ada", recent=("key",))
    end = an_end(reason=reason)

    assert await written(store, end) is Outcome.APPLIED

    assert await stored(other) == Tombstone(
        key=session.key,
        version=4,
        created=session.created,
        accessed=session.accessed,
        invalidated=end.now,
        reason=reason,
        write_id=end.write_id,
    )


async def test_a_renewed_session_stays_readable_until_its_grace_is_dropped(
    store: SessionStore,
) -> None:
    session = await inserted(store, version=3, principal="ada", deadline=T0 + 9_000_000)
    end = an_end(reason=Reason.RENEWED, renewed_to="session-2", grace_until=T0 + 15_000)

    assert await written(store, end) is Outcome.APPLIED

    tombstone = await stored_tombstone(store)
    assert tombstone == Tombstone(
        key=session.key,
        version=4,
        created=session.created,
        accessed=session.accessed,
        invalidated=end.now,
        reason=Reason.RENEWED,
        write_id=end.write_id,
        renewed_to="session-2",
        grace_until=T0 + 15_000,
        grace=replace(session, write_id=""),
    )

    assert await store.drop_grace(T0 + 15_000, 10) == 0
    assert await stored(store) == tombstone
    assert await store.drop_grace(T0 + 15_001, 10) == 1
    assert await stored(store) == replace(tombstone, grace=None, grace_until=None)
    assert await store.drop_grace(T0 + 15_001, 10) == 0


async def test_graces_are_dropped_up_to_the_limit(store: SessionStore) -> None:
    for key in ("one", "two", "three"):
        await inserted(store, key)
        await written(store, an_end(key, reason=Reason.RENEWED, grace_until=T0))

    assert await store.drop_grace(T0 + 1, 2) == 2
    assert await store.drop_grace(T0 + 1, 2) == 1


async def test_an_ended_session_does_not_end_again(store: SessionStore) -> None:
    await inserted(store)
    await written(store, an_end(reason=Reason.LOGOUT))
    tombstone = await stored_tombstone(store)

    assert await written(store, an_end(reason=Reason.EXPIRED, now=T0 + 99)) is Outcome.ENDED

    assert await stored(store) == tombstone


async def test_an_end_that_is_repeated_is_known_as_applied(store: SessionStore) -> None:
    await inserted(store)
    end = an_end()

    assert await written(store, end) is Outcome.APPLIED
    assert await written(store, end) is Outcome.APPLIED

    assert (await stored_tombstone(store)).version == 2


SESSION: Final = a_session(version=4)
GUARDS = {
    "no guard": (an_end(), True),
    "the version": (an_end(version=4), True),
    "an older version": (an_end(version=3), False),
    "the access": (an_end(access=access_of(SESSION)), True),
    "both": (an_end(version=4, access=access_of(SESSION)), True),
    "an older access": (an_end(access=AccessGuard(T0 - 1, T0 + IDLE, "node0")), False),
    "another expiry": (an_end(access=AccessGuard(T0, T0 + IDLE - 1, "node0")), False),
    "no expiry": (an_end(access=AccessGuard(T0, None, "node0")), False),
    "another worker": (an_end(access=AccessGuard(T0, T0 + IDLE, "node1")), False),
    "the version, another access": (
        an_end(version=4, access=AccessGuard(T0 - 1, T0 + IDLE, "node0")),
        False,
    ),
}


@pytest.mark.parametrize(("end", "holds"), GUARDS.values(), ids=GUARDS.keys())
async def test_an_end_is_applied_if_its_guards_hold(
    store: SessionStore,
    end: Write,
    holds: bool,  # noqa: FBT001 - a column of the table
) -> None:
    await store.insert(SESSION)

    outcome = await written(store, end)

    assert outcome is (Outcome.APPLIED if holds else Outcome.CONFLICT)
    assert isinstance(await stored(store), Tombstone if holds else Session)


async def test_a_session_without_an_expiry_is_ended_by_that(store: SessionStore) -> None:
    session = await inserted(store, expiry=None, max_idle_ms=0)

    assert await written(store, an_end(access=access_of(session))) is Outcome.APPLIED


async def test_an_access_in_between_saves_a_session_from_its_expiry(store: SessionStore) -> None:
    session = await inserted(store)
    decided_by = access_of(session)
    await store.touch([a_touch(session, T0 + IDLE - 1)])

    end = an_end(reason=Reason.EXPIRED, access=decided_by)
    assert await written(store, end) is Outcome.CONFLICT


LATE_WRITES = {
    "a change": lambda session: with_attributes(session, {"late": True}),
    "a change of the times": lambda session: changed(session, accessed=T0 + 9_999_999),
    "a change by the tombstone's version": lambda session: with_attributes(
        replace(session, version=session.version + 1), {"late": True}
    ),
    "another end": lambda _: an_end(now=T0 + 9_999_999, reason=Reason.EXPIRED),
}


@pytest.mark.parametrize("late", LATE_WRITES.values(), ids=LATE_WRITES.keys())
async def test_no_late_write_brings_an_ended_session_back(
    store: SessionStore, other: SessionStore, late: object
) -> None:
    assert callable(late)
    session = await inserted(other)
    await written(store, an_end())
    tombstone = await stored_tombstone(store)

    assert await written(other, late(session)) is Outcome.ENDED
    assert await stored(store) == tombstone

    everything = Purge(kind=PurgeKind.INVALID, before=T0 + 9_999_999, now=T0 + 9_999_999)
    assert await store.purge(everything, 10) == 1
    assert await written(other, late(session)) is Outcome.ABSENT
    await other.touch([a_touch(session, T0 + 9_999_999)])
    assert not await other.settle(session.key, "whatever")
    assert await stored(store) is None


async def test_a_late_touch_does_not_bring_an_ended_session_back(store: SessionStore) -> None:
    session = await inserted(store)
    await written(store, an_end())
    tombstone = await stored_tombstone(store)

    await store.touch([a_touch(session, T0 + 60_000)])

    assert await stored(store) == tombstone


async def test_a_logout_beats_the_writers_that_race_it(
    store: SessionStore, other: SessionStore
) -> None:
    for attempt in range(5):
        key = f"session-{attempt}"
        session = await inserted(store, key)

        async def keep_writing(last: Session) -> Outcome:
            outcome = Outcome.APPLIED
            while outcome is Outcome.APPLIED:
                write = with_attributes(last, {"n": last.version})
                outcome = await written(other, write)
                last = write.after
                await asyncio.sleep(0)
            return outcome

        async def log_out(end: Write) -> Outcome:
            # Who waits for a lock may be late each time for as long as a call takes.
            return await in_time(lambda: written(store, end))

        last_write, logout = await asyncio.gather(keep_writing(session), log_out(an_end(key)))

        assert (last_write, logout) == (Outcome.ENDED, Outcome.APPLIED)
        await stored_tombstone(store, key)


async def test_of_many_who_end_a_session_by_its_version_one_wins(
    store: SessionStore, other: SessionStore
) -> None:
    """Two renews at once."""
    await inserted(store)
    ends = [
        an_end(reason=Reason.RENEWED, version=1, renewed_to=f"session-{n}", grace_until=T0)
        for n in range(8)
    ]

    outcomes = await asyncio.gather(
        *(written((store, other)[n % 2], end) for n, end in enumerate(ends))
    )

    assert sorted(outcome.name for outcome in outcomes) == ["APPLIED"] + ["ENDED"] * 7
    winner = ends[outcomes.index(Outcome.APPLIED)]
    assert (await stored_tombstone(store)).renewed_to == winner.renewed_to
