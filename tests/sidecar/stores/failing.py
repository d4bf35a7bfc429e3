"""Calls that go wrong, and what must hold afterwards: the same on every store over a network."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import pytest
from moorline_sidecar.domain.session import Session
from moorline_sidecar.errors import AlreadyExists, OutcomeUnknown, StoreUnavailable
from moorline_sidecar.stores.base import Outcome, Purge, PurgeKind, SessionStore

from e2e.app.databases import Database
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

Result = TypeVar("Result")

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


LATE_SECONDS: Final = 1.9
"""What fails after that may have failed for its time: to connect is given up first, after 2 s."""

TRIES: Final = 10


async def in_time(call: Callable[[], Awaitable[Result]]) -> Result:
    """What a call returns, made again where the machine was too slow for the time that it has.

    Whatever fails sooner fails for a reason of its own, and is raised.
    """
    for _ in range(TRIES):
        began = time.monotonic()
        try:
            return await call()
        except (StoreUnavailable, OutcomeUnknown):
            if time.monotonic() - began < LATE_SECONDS:
                raise
    raise AssertionError("it was late each time")


async def insert_in_time(store: SessionStore, session: Session) -> None:
    """The same for an insert, which may have been applied when it was late."""
    is_again = False

    async def insert() -> None:
        nonlocal is_again
        try:
            await store.insert(session)
        except AlreadyExists:
            if not is_again:
                raise
        finally:
            is_again = True

    await in_time(insert)


async def fill(store: SessionStore) -> None:
    for session in (*SESSIONS, COPY):
        await store.insert(session)


async def outcomes(store: SessionStore, calls: Mapping[str, Call]) -> dict[str, type]:
    """What kind of answer, or of error, each of the calls got, made at once."""
    results = await asyncio.gather(
        *(call(store) for call in calls.values()), return_exceptions=True
    )
    return dict(zip(calls, map(type, results), strict=True))


async def unanswered(store: SessionStore, linked: SessionStore, link: LossyLink) -> dict[str, type]:
    """What kind of error each call ends with, in time, when no request arrives; none is applied."""
    await fill(store)
    before = await store.load(KEYS)
    # Nobody waits for counting what would be purged: it may take longer.
    calls = {name: call for name, call in EVERYTHING.items() if name != "purgeable"}
    link.stall()

    async with asyncio.timeout(10):
        found = await outcomes(linked, calls)

    assert await store.load(KEYS) == before
    await link.close()
    await link.open()
    await until_it_answers(linked)
    assert await linked.load(KEYS) == before
    return found


@contextmanager
def frozen(server: Database) -> Iterator[None]:
    """The server hangs within, with its connections open."""
    assert server.pid is not None
    server.pause()
    try:
        wait_until_stopped(server.pid)
        yield
    finally:
        server.resume()


def wait_until_stopped(pid: int) -> None:
    """The signal is answered thread by thread."""
    deadline = time.monotonic() + 30
    while _states_of_threads(pid) != {"T"}:
        assert time.monotonic() < deadline, "it is not frozen"


def _states_of_threads(pid: int) -> set[str]:
    found = set()
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        # One may end while it is looked at.
        with suppress(FileNotFoundError, ProcessLookupError):
            # The name, in parentheses, may hold anything.
            found.add(stat.read_text().rpartition(")")[2].split()[0])
    return found


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
