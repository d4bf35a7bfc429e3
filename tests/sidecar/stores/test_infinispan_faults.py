"""What a Infinispan store answers when a call goes wrong: perhaps applied, or surely not."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final, TypeAlias

import pytest
from moorline_sidecar.errors import AlreadyExists, OutcomeUnknown, StoreUnavailable
from moorline_sidecar.stores import infinispan_wire as wire
from moorline_sidecar.stores.base import Outcome, Purge, PurgeKind
from moorline_sidecar.stores.infinispan import InfinispanStore
from moorline_sidecar.stores.infinispan_records import CLOCK_VALUE, key_of

from e2e.app.databases import DATABASE
from e2e.app.infinispan import InfinispanServer
from tests.contract.backends import cache_store
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
from tests.infinispan_raw import emptied, raw_connection
from tests.lossy_link import LossyLink, lossy_link
from tests.sidecar.stores.crashes import until_it_answers

Call: TypeAlias = Callable[[InfinispanStore], Awaitable[object]]

NEW: Final = a_session("new", write_id="by the insert")
SESSIONS: Final = [a_session(str(n)) for n in range(3)]
COPY: Final = a_session("copy", renew_of="origin")
KEYS: Final = ["new", "0", "1", "2", "copy"]
PURGE: Final = Purge(kind=PurgeKind.INVALID, before=T0, now=T0)

REPLACES: Final = bytes((wire.VERSION, wire.Operation.REPLACE_IF_SAME))
REMOVES: Final = bytes((wire.VERSION, wire.Operation.REMOVE_IF_SAME))

TO_BE: Final = {"to be": 1}

# With each what only its request to change something holds.
WRITES: Final[dict[str, tuple[bytes, Call]]] = {
    "insert": (b"by the insert", lambda store: store.insert(NEW)),
    "one change": (b"to be", lambda store: store.write([with_attributes(SESSIONS[0], TO_BE)])),
    "an end": (b'"reason":"logout"', lambda store: store.write([an_end("0")])),
    "many": (b"to be", lambda store: store.write([with_attributes(s, TO_BE) for s in SESSIONS])),
    "touch": (b"node7", lambda store: store.touch([a_touch(s, T0 + 9) for s in SESSIONS])),
    "settle": (REPLACES, lambda store: store.settle("copy", "origin")),
    "discard": (REMOVES, lambda store: store.discard("copy", "origin", 1)),
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
EVERYTHING: Final[dict[str, Call]] = {name: call for name, (_, call) in WRITES.items()} | READS


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


async def fill(store: InfinispanStore) -> None:
    for session in (*SESSIONS, COPY):
        await store.insert(session)


@pytest.mark.parametrize(("request_holds", "call"), WRITES.values(), ids=WRITES.keys())
async def test_a_write_whose_answer_was_lost_may_have_been_applied(
    store: InfinispanStore,
    linked: InfinispanStore,
    link: LossyLink,
    request_holds: bytes,
    call: Call,
) -> None:
    await fill(store)
    before = await store.load(KEYS)
    link.lose_answer_after(request_holds)

    with pytest.raises(OutcomeUnknown):
        await call(linked)

    assert await store.load(KEYS) != before


async def test_writes_whose_answers_were_lost_are_known_again(
    store: InfinispanStore, linked: InfinispanStore, link: LossyLink
) -> None:
    await fill(store)
    changes = [with_attributes(session, TO_BE) for session in SESSIONS]
    link.lose_answer_after(b"to be")

    with pytest.raises(OutcomeUnknown):
        await linked.write(changes)

    assert await linked.write(changes) == [Outcome.APPLIED] * 3
    assert list((await store.load(["0", "1", "2"])).values()) == [c.after for c in changes]


async def test_an_insert_whose_answer_was_lost_is_known_again(
    store: InfinispanStore, linked: InfinispanStore, link: LossyLink
) -> None:
    link.lose_answer_after(b"by the insert")

    with pytest.raises(OutcomeUnknown):
        await linked.insert(NEW)

    with pytest.raises(AlreadyExists):
        await linked.insert(NEW)
    assert (await stored_session(store, "new")).write_id == NEW.write_id


async def test_a_connection_that_went_stale_is_replaced_unnoticed(
    store: InfinispanStore, linked: InfinispanStore, link: LossyLink
) -> None:
    session = await inserted(store)
    await linked.load(["session-1"])
    await link.close()
    await link.open()

    assert await stored(linked) == session
    change = with_attributes(session, TO_BE)
    assert await written(linked, change) is Outcome.APPLIED


async def test_a_server_out_of_reach_is_unavailable_and_comes_back(
    store: InfinispanStore, linked: InfinispanStore, link: LossyLink
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
    store: InfinispanStore, linked: InfinispanStore, link: LossyLink
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
    # What has to read first had sent nothing yet, and connections are waited for.
    assert found.pop("insert") in {OutcomeUnknown, StoreUnavailable}
    assert set(found.values()) == {StoreUnavailable}
    assert await store.load(KEYS) == before
    await link.close()
    await link.open()
    await until_it_answers(linked)
    assert await linked.load(KEYS) == before


async def test_a_call_that_is_given_up_before_it_was_sent_is_never_applied(
    store: InfinispanStore, linked: InfinispanStore, link: LossyLink
) -> None:
    await fill(store)
    link.stall()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await linked.write([an_end("0")])
    await link.close()
    await link.open()
    await until_it_answers(linked)

    assert await stored(store, "0") == SESSIONS[0]


async def test_calls_that_are_given_up_at_any_moment_apply_whole_or_not_at_all(
    store: InfinispanStore,
) -> None:
    session = await inserted(store, contexts={"/": {}})
    for n in range(40):
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
    infinispan: InfinispanServer, store: InfinispanStore
) -> None:
    await fill(store)
    assert infinispan.pid is not None
    os.kill(infinispan.pid, signal.SIGSTOP)
    try:
        wait_until_stopped(infinispan.pid)
        began = time.monotonic()
        with pytest.raises(OutcomeUnknown):
            await store.insert(NEW)
        with pytest.raises(StoreUnavailable):
            await store.load(["0"])
        seconds = time.monotonic() - began
    finally:
        os.kill(infinispan.pid, signal.SIGCONT)

    assert seconds < 10
    await until_it_answers(store)
    # What was in doubt was only late.
    async with asyncio.timeout(30):
        while await stored(store, "new") != NEW:
            pass


def wait_until_stopped(pid: int) -> None:
    """The signal is answered thread by thread."""
    deadline = time.monotonic() + 30
    while {state_of(stat) for stat in Path(f"/proc/{pid}/task").glob("*/stat")} != {"T"}:
        assert time.monotonic() < deadline, "it is not frozen"


def state_of(stat: Path) -> str:
    # The name, in parentheses, may hold anything.
    return stat.read_text().rpartition(")")[2].split()[0]


async def test_of_many_who_write_at_once_nobody_loses_anything(
    infinispan: InfinispanServer, store: InfinispanStore
) -> None:
    """What the whole store rests on: the server replaces an entry only if it is as it was read."""
    await inserted(store, contexts={"/": {"n": 0}})
    others = [cache_store(infinispan.uri, CACHE) for _ in range(4)]

    async def count_up(other: InfinispanStore) -> None:
        for _ in range(25):
            while True:
                session = await stored_session(other)
                n = session.contexts["/"]["n"]
                try:
                    outcome = await written(other, with_attributes(session, {"n": n + 1}))
                except StoreUnavailable:
                    continue
                if outcome is Outcome.APPLIED:
                    break

    await asyncio.gather(*(count_up(other) for other in others))

    session = await stored_session(store)
    assert (session.contexts["/"]["n"], session.version) == (100, 101)
    for other in others:
        await other.close()


async def test_a_writer_against_a_logout_leaves_the_session_ended(
    store: InfinispanStore, linked: InfinispanStore
) -> None:
    for n in range(10):
        session = await inserted(store, f"raced-{n}")

        changed, ended = await asyncio.gather(
            written(linked, with_attributes(session, TO_BE)), written(store, an_end(session.key))
        )

        assert ended is Outcome.APPLIED
        assert changed in {Outcome.APPLIED, Outcome.ENDED}
        assert not (await store.confirm([session.key]))[session.key].is_valid


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
