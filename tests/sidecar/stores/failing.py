"""Calls that go wrong, and what must hold afterwards: the same on every store over a network."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

import pytest
from moorline_sidecar.errors import AlreadyExists, OutcomeUnknown, StoreUnavailable
from moorline_sidecar.stores.base import CALL_SECONDS, Outcome, Purge, PurgeKind, SessionStore

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
from tests.lossy_link import LossyLink
from tests.sidecar.stores.crashes import until_it_answers

Call: TypeAlias = Callable[[SessionStore], Awaitable[object]]

Lose: TypeAlias = Callable[[bytes], None]
"""Has the answer be lost to the next request that holds these bytes."""

NEW: Final = a_session("new", write_id="by the insert")
SESSIONS: Final = [a_session(str(n), principal="ada") for n in range(3)]
COPY: Final = a_session("copy", renew_of="origin")
KEYS: Final = ["new", "0", "1", "2", "copy"]
PURGE: Final = Purge(kind=PurgeKind.INVALID, before=T0, now=T0)
TO_BE: Final = {"to be": 1}

WRITES: Final[dict[str, Call]] = {
    "insert": lambda store: store.insert(NEW),
    "one change": lambda store: store.write([with_attributes(SESSIONS[0], TO_BE)]),
    "an end": lambda store: store.write([an_end("0")]),
    "many": lambda store: store.write([with_attributes(s, TO_BE) for s in SESSIONS]),
    "touch": lambda store: store.touch([a_touch(s, T0 + 9) for s in SESSIONS]),
    "settle": lambda store: store.settle("copy", "origin"),
    "discard": lambda store: store.discard("copy", "origin", 1),
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
EVERYTHING: Final = WRITES | READS

SLACK_SECONDS: Final = 5.0
"""For a machine that has much else to do."""


async def fill(store: SessionStore) -> None:
    for session in (*SESSIONS, COPY):
        await store.insert(session)


async def outcomes(store: SessionStore, calls: Mapping[str, Call]) -> dict[str, type]:
    """What kind of answer, or of error, each of the calls got, made at once."""
    results = await asyncio.gather(
        *(call(store) for call in calls.values()), return_exceptions=True
    )
    return dict(zip(calls, map(type, results), strict=True))


async def check_lost_answer(
    store: SessionStore, unlucky: SessionStore, call: Call, lose: Lose, holds: bytes
) -> None:
    """A write whose answer was lost may have been applied."""
    await fill(store)
    before = await store.load(KEYS)
    lose(holds)

    with pytest.raises(OutcomeUnknown):
        await call(unlucky)

    assert await store.load(KEYS) != before


async def check_known_again(
    store: SessionStore, unlucky: SessionStore, lose: Lose, holds: bytes
) -> None:
    """Writes whose answers were lost are known when they are made again."""
    await fill(store)
    changes = [with_attributes(session, TO_BE) for session in SESSIONS]
    lose(holds)

    with pytest.raises(OutcomeUnknown):
        await unlucky.write(changes)

    assert await unlucky.write(changes) == [Outcome.APPLIED] * 3
    assert list((await store.load(["0", "1", "2"])).values()) == [c.after for c in changes]


async def check_insert_known_again(
    store: SessionStore, unlucky: SessionStore, lose: Lose, holds: bytes
) -> None:
    """An insert whose answer was lost finds its key taken, by itself."""
    lose(holds)

    with pytest.raises(OutcomeUnknown):
        await unlucky.insert(NEW)

    with pytest.raises(AlreadyExists):
        await unlucky.insert(NEW)
    assert (await stored_session(store, "new")).write_id == NEW.write_id


async def check_stale_connection(
    store: SessionStore, linked: SessionStore, link: LossyLink
) -> None:
    """A connection that went stale is replaced, and nobody notices."""
    session = await inserted(store)
    await linked.load(["session-1"])
    await link.close()
    await link.open()

    assert await stored(linked) == session
    assert await written(linked, with_attributes(session, TO_BE)) is Outcome.APPLIED


async def check_out_of_reach(
    store: SessionStore,
    linked: SessionStore,
    link: LossyLink,
    calls: Mapping[str, Call] = EVERYTHING,
) -> None:
    """A server out of reach is unavailable to every call, and comes back."""
    await fill(store)
    await link.close()
    with pytest.raises(StoreUnavailable):
        await linked.now()

    assert await outcomes(linked, calls) == dict.fromkeys(calls, StoreUnavailable)

    await link.open()
    await until_it_answers(linked)
    assert await linked.load(["0"]) == {"0": SESSIONS[0]}


async def check_never_sent(store: SessionStore, linked: SessionStore, link: LossyLink) -> None:
    """A write that is given up before it was sent is never applied."""
    await fill(store)
    link.stall()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await linked.write([an_end("0")])
    await link.close()
    await link.open()
    await until_it_answers(linked)

    assert await stored(store, "0") == SESSIONS[0]


async def check_given_up(store: SessionStore, step_seconds: float, times: int = 40) -> None:
    """A write that is given up at any moment is applied as a whole, or not at all."""
    session = await inserted(store, contexts={"/": {}}, principal="ada")
    for n in range(times):
        change = with_attributes(session, {f"a{n}": n, f"b{n}": n})
        try:
            async with asyncio.timeout(step_seconds * n):
                await store.write([change])
        except TimeoutError:
            pass
        found = await stored_session(store)
        if found.version == session.version:
            # It may yet be under way: the next write, by the same version, is what decides.
            assert await written(store, change) is Outcome.APPLIED
        assert await stored(store) == change.after
        session = change.after


async def check_half_open(store: SessionStore, linked: SessionStore, link: LossyLink) -> None:
    """Where requests arrive and answers do not, calls end in time, and a write is in doubt."""
    await fill(store)
    await linked.load(["0"])
    link.swallow_answers()
    began = time.monotonic()

    with pytest.raises(OutcomeUnknown):
        await linked.insert(NEW)
    with pytest.raises(StoreUnavailable):
        await linked.load(["0"])

    assert time.monotonic() - began < 2 * CALL_SECONDS + SLACK_SECONDS
    assert await stored(store, "new") == NEW
    await link.close()
    await link.open()
    await until_it_answers(linked)
    with pytest.raises(AlreadyExists):
        await linked.insert(NEW)


async def check_two_writers(store: SessionStore, linked: SessionStore) -> None:
    """Of two writers of one version one is told of the other."""
    for n in range(10):
        session = await inserted(store, f"raced-{n}")

        outcomes = await asyncio.gather(
            written(linked, with_attributes(session, {"mine": n})),
            written(store, with_attributes(session, {"yours": n})),
        )

        assert sorted(each.name for each in outcomes) == ["APPLIED", "CONFLICT"]
        found = await stored_session(store, session.key)
        assert found.version == session.version + 1


async def check_race_with_logout(store: SessionStore, linked: SessionStore) -> None:
    """A writer against a logout leaves the session ended."""
    for n in range(10):
        session = await inserted(store, f"raced-{n}")

        changed, ended = await asyncio.gather(
            written(linked, with_attributes(session, TO_BE)), written(store, an_end(session.key))
        )

        assert ended is Outcome.APPLIED
        assert changed in {Outcome.APPLIED, Outcome.ENDED}
        assert not (await store.confirm([session.key]))[session.key].is_valid
