import asyncio

import pytest
from moorline_sidecar.domain.session import Session
from moorline_sidecar.stores.base import Change, Outcome, Purge, PurgeKind, SessionStore
from msgspec.structs import replace

from tests.contract.sessions import (
    IDLE,
    T0,
    a_session,
    a_touch,
    an_end,
    changed,
    inserted,
    stored,
    stored_session,
    stored_tombstone,
    with_attributes,
    written,
)

BASE = a_session(
    deadline=T0 + 86_400_000,
    principal="ada",
    recent=("key-1",),
    contexts={"/": {"a": 1, "b": [1, {"c": None}], "d.e": "$f"}, "/admin": {}},
)

CHANGES = {
    "an attribute added": with_attributes(BASE, {"new": {"x": 1}}),
    "an attribute replaced": with_attributes(BASE, {"b": "text"}),
    "an attribute set to null": with_attributes(BASE, {"a": None}),
    "an attribute removed": with_attributes(BASE, {}, unset=["a"]),
    "attributes of odd names": with_attributes(BASE, {"%2E": 1, "$x": 2, "0": 3, "é\0": 4}),
    "one of an odd name removed": with_attributes(BASE, {}, unset=["d.e"]),
    "all attributes removed": with_attributes(BASE, {}, unset=["a", "b", "d.e"]),
    "set in another context": with_attributes(BASE, {"role": "root"}, context="/admin"),
    "a context added": with_attributes(BASE, {"z": 1.5}, context="/new.context/$1"),
    "an empty context added": with_attributes(BASE, {}, context="/empty"),
    "a principal": changed(BASE, principal="grace"),
    "no principal": changed(BASE, principal=None),
    "another maximum": changed(BASE, max_idle_ms=5_000, expiry=T0 + 5_000),
    "no expiry": changed(BASE, max_idle_ms=0, expiry=None),
    "a cookie": changed(BASE, cookie_set=T0 + 9),
    "idempotency keys": changed(BASE, recent=("key-1", "key-2")),
    "no idempotency keys": changed(BASE, recent=()),
    "times": changed(
        BASE,
        accessed=T0 + 50,
        last_accessed=T0 + 40,
        expiry=T0 + 50 + IDLE,
        last_node="node9",
        last_saved=T0 + 51,
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
async def test_a_change_makes_of_a_session_what_it_says(
    store: SessionStore, other: SessionStore, change: Change
) -> None:
    await store.insert(BASE)

    assert await written(store, change) is Outcome.APPLIED

    assert await stored(other) == change.after


async def test_a_change_of_another_version_conflicts(store: SessionStore) -> None:
    first = await inserted(store)
    second = with_attributes(first, {"a": 1})
    await written(store, second)

    assert await written(store, with_attributes(first, {"a": 2})) is Outcome.CONFLICT

    assert await stored(store) == second.after


async def test_a_change_by_a_version_that_is_not_there_yet_conflicts(store: SessionStore) -> None:
    session = await inserted(store)
    ahead = replace(session, version=5)

    assert await written(store, with_attributes(ahead, {"a": 2})) is Outcome.CONFLICT

    assert await stored(store) == session


async def test_only_what_differs_is_written(store: SessionStore) -> None:
    """What somebody else holds of the same version is nothing that a change may restore."""
    session = await inserted(store, contexts={"/": {"a": 1, "b": 2}})
    imagined = replace(session, principal="mallory", contexts={"/": {"a": 7, "b": 2}})

    assert await written(store, with_attributes(imagined, {"b": 3})) is Outcome.APPLIED

    found = await stored_session(store)
    assert found.contexts == {"/": {"a": 1, "b": 3}}


async def test_a_change_never_takes_an_access_back(store: SessionStore) -> None:
    session = await inserted(store)
    await store.touch([a_touch(session, T0 + 60_000)])

    late = changed(session, accessed=T0 + 10, expiry=T0 + 10 + IDLE, cookie_set=T0 + 10)
    assert await written(store, late) is Outcome.APPLIED

    found = await stored_session(store)
    assert (found.accessed, found.expiry) == (T0 + 60_000, T0 + 60_000 + IDLE)
    assert (found.version, found.cookie_set) == (2, T0 + 10)


async def test_a_new_maximum_shortens_the_life_that_a_touch_gave(store: SessionStore) -> None:
    session = await inserted(store)
    await store.touch([a_touch(session, T0 + 60_000)])

    shorter = changed(session, accessed=T0 + 10, max_idle_ms=1_000, expiry=T0 + 1_010)
    assert await written(store, shorter) is Outcome.APPLIED

    found = await stored_session(store)
    assert (found.max_idle_ms, found.expiry) == (1_000, T0 + 1_010)
    assert found.accessed == T0 + 60_000


async def test_a_change_of_something_else_leaves_no_expiry_alone(store: SessionStore) -> None:
    session = await inserted(store, max_idle_ms=0, expiry=None)

    await written(store, with_attributes(session, {"a": 1}))

    assert (await stored_session(store)).expiry is None


async def test_of_two_writers_of_a_version_exactly_one_wins(
    store: SessionStore, other: SessionStore
) -> None:
    session = await inserted(store)
    changes = [with_attributes(session, {"winner": n}) for n in range(10)]

    outcomes = await asyncio.gather(
        *(written((store, other)[n % 2], change) for n, change in enumerate(changes))
    )

    won = [change for change, outcome in zip(changes, outcomes, strict=True) if _applied(outcome)]
    assert len(won) == 1
    assert outcomes.count(Outcome.CONFLICT) == 9
    assert await stored(store) == won[0].after


async def test_writers_who_reload_on_a_conflict_lose_nothing(
    store: SessionStore, other: SessionStore
) -> None:
    await inserted(store, contexts={"/": {"counter": 0}})

    async def count_up(through: SessionStore, name: str) -> None:
        for _ in range(5):
            outcome = Outcome.CONFLICT
            while outcome is Outcome.CONFLICT:
                seen = await stored_session(through)
                counter = seen.contexts["/"]["counter"]
                write = with_attributes(seen, {"counter": counter + 1, f"by {name}": counter})
                outcome = await written(through, write)
            assert outcome is Outcome.APPLIED

    await asyncio.gather(*(count_up((store, other)[n % 2], str(n)) for n in range(4)))

    found = await stored_session(store)
    assert found.contexts["/"].keys() == {"counter", "by 0", "by 1", "by 2", "by 3"}
    assert (found.contexts["/"]["counter"], found.version) == (20, 21)


async def test_a_write_that_is_repeated_is_applied_once(store: SessionStore) -> None:
    session = await inserted(store)
    change = with_attributes(session, {"a": 1})

    assert await written(store, change) is Outcome.APPLIED
    assert await written(store, change) is Outcome.APPLIED

    assert await stored(store) == change.after


async def test_a_repeated_write_that_was_overtaken_conflicts(store: SessionStore) -> None:
    session = await inserted(store)
    change = with_attributes(session, {"a": 1})
    await written(store, change)
    overtaking = with_attributes(change.after, {"a": 2})
    await written(store, overtaking)

    assert await written(store, change) is Outcome.CONFLICT

    assert await stored(store) == overtaking.after


async def test_writes_of_one_call_do_not_depend_on_each_other(store: SessionStore) -> None:
    sessions = {key: await inserted(store, key) for key in map(str, range(60)) if key != "50"}
    ended = [await written(store, an_end(key)) for key in ("10", "11")]
    assert all(_applied(outcome) for outcome in ended)
    moved_on = with_attributes(sessions["20"], {"by": "somebody else"})
    await written(store, moved_on)

    def write_of(number: int) -> Change:
        session = sessions.get(str(number)) or a_session(str(number))
        return with_attributes(session, {"number": number})

    writes = [an_end(str(number)) if number % 7 == 0 else write_of(number) for number in range(60)]
    outcomes = await store.write(writes)

    expected = dict.fromkeys(map(str, range(60)), Outcome.APPLIED)
    expected |= {"10": Outcome.ENDED, "11": Outcome.ENDED}
    expected |= {"20": Outcome.CONFLICT, "50": Outcome.ABSENT}
    assert dict(zip(expected, outcomes, strict=True)) == expected
    found = await store.load(list(expected))
    for write in writes:
        if expected[write.key] is Outcome.APPLIED and isinstance(write, Change):
            assert found[write.key] == write.after
    assert found["20"] == moved_on.after
    assert await store.write([]) == []


async def test_what_was_applied_is_applied_though_it_was_overtaken(
    store: SessionStore, other: SessionStore
) -> None:
    """One write of each call conflicts, while somebody else races on with the others."""
    for round_number in range(5):
        keys = [f"{round_number}-{n}" for n in range(6)]
        sessions = [await inserted(store, key, contexts={"/": {"n": 0}}) for key in keys]
        stale = replace(sessions[0], version=9)
        writes = [with_attributes(stale, {"n": 1})]
        writes += [with_attributes(session, {"n": 1}) for session in sessions[1:]]

        outcomes, _ = await asyncio.gather(store.write(writes), _chase(other, keys[1:]))

        assert outcomes == [Outcome.CONFLICT] + [Outcome.APPLIED] * 5


async def test_a_write_to_an_ended_session_stops(store: SessionStore) -> None:
    session = await inserted(store)
    await written(store, an_end())
    tombstone = await stored_tombstone(store)

    assert await written(store, with_attributes(session, {"a": 1})) is Outcome.ENDED

    assert await stored(store) == tombstone


def _applied(outcome: Outcome) -> bool:
    return outcome is Outcome.APPLIED


async def _chase(store: SessionStore, keys: list[str]) -> None:
    """Write on top of each session as soon as it has been written to."""
    waiting = set(keys)
    while waiting:
        for key, found in (await store.load(sorted(waiting))).items():
            if isinstance(found, Session) and found.version > 1:
                await written(store, with_attributes(found, {"chased": True}))
                waiting.discard(key)


async def made_anew(store: SessionStore, other: SessionStore) -> tuple[Session, Session]:
    """A session at its third version, and what another process made of its key after a purge."""
    old = await grown(store, await inserted(store))
    await written(store, an_end())
    purge = Purge(kind=PurgeKind.INVALID, before=T0 + 1_000_000, now=T0 + 1_000_000)
    assert await store.purge(purge, 0) == 1
    return old, await grown(other, await inserted(other, contexts={"/": {"user": "grace"}}))


async def grown(store: SessionStore, session: Session) -> Session:
    for number in range(2):
        change = with_attributes(session, {"n": number})
        assert await written(store, change) is Outcome.APPLIED
        session = change.after
    return session


async def test_a_write_from_before_a_purge_conflicts_with_the_session_made_anew(
    store: SessionStore, other: SessionStore
) -> None:
    old, new = await made_anew(store, other)
    assert old.version == new.version

    outcomes = [
        await written(store, with_attributes(old, {"late": True})),
        await written(store, an_end(version=old.version, content_id=old.write_id)),
    ]

    assert outcomes == [Outcome.CONFLICT, Outcome.CONFLICT]
    assert await stored(other) == new


async def test_an_end_by_the_version_of_a_write_ends_what_that_write_made(
    store: SessionStore, other: SessionStore
) -> None:
    _, new = await made_anew(store, other)

    end = an_end(version=new.version, content_id=new.write_id)

    assert await written(store, end) is Outcome.APPLIED
    assert (await stored_tombstone(other)).write_id == end.write_id


async def test_a_copy_that_names_no_write_goes_by_its_version(store: SessionStore) -> None:
    session = await inserted(store)

    change = with_attributes(replace(session, write_id=""), {"n": 1})

    assert await written(store, change) is Outcome.APPLIED
