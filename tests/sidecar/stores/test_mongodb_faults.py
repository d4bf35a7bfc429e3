"""What the store answers when a call goes wrong: surely not applied, or perhaps applied."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import pytest
from moorline_sidecar.errors import AlreadyExists, OutcomeUnknown, StoreError, StoreUnavailable
from moorline_sidecar.stores.base import CALL_SECONDS, Outcome, Purge, PurgeKind
from moorline_sidecar.stores.mongodb import MongoStore

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
from tests.sidecar.stores.fail_points import FailPoints
from tests.sidecar.stores.network_faults import SLACK_SECONDS
from tests.stores_fixtures import GIVES_UP_CONNECTIONS

pytestmark = GIVES_UP_CONNECTIONS

Call: TypeAlias = Callable[[MongoStore], Awaitable[object]]

NEW: Final = a_session("new")
SESSIONS: Final = [a_session(str(n)) for n in range(3)]
COPY: Final = a_session("copy", renew_of="origin")
INVALID: Final = Purge(kind=PurgeKind.INVALID, before=T0, now=T0)

WRITES: Final[dict[str, tuple[str, Call]]] = {
    "insert": ("insert", lambda store: store.insert(NEW)),
    "one change": ("update", lambda store: store.write([with_attributes(SESSIONS[0], {"a": 1})])),
    "an end": ("update", lambda store: store.write([an_end("0")])),
    "many": (
        "bulkWrite",
        lambda store: store.write([with_attributes(s, {"a": 1}) for s in SESSIONS]),
    ),
    "touch": ("update", lambda store: store.touch([a_touch(s, T0 + 9) for s in SESSIONS])),
    "settle": ("update", lambda store: store.settle("copy", "origin")),
    "discard": ("delete", lambda store: store.discard("copy", "origin", 1)),
}
READS: Final[dict[str, tuple[str, Call]]] = {
    "load": ("find", lambda store: store.load(["0", "1"])),
    "confirm": ("find", lambda store: store.confirm(["0"])),
    "expired": ("find", lambda store: store.expired(T0, 0)),
    "by principal": ("find", lambda store: store.by_principal("ada", None, 10)),
    "count": ("count", lambda store: store.count()),
    "server": ("buildInfo", lambda store: store.server()),
}
PURGES: Final[dict[str, tuple[str, Call]]] = {
    "what to purge": ("find", lambda store: store.purge(INVALID, 10)),
    "whether to purge at once": ("count", lambda store: store.purge(INVALID, 0)),
    "purgeable": ("aggregate", lambda store: store.purgeable(INVALID, 0)),
}
writes = pytest.mark.parametrize(("command", "call"), WRITES.values(), ids=WRITES.keys())


async def fill(store: MongoStore) -> None:
    for session in (*SESSIONS, COPY):
        await store.insert(session)


CODES: Final[dict[str, tuple[int, type[StoreError]]]] = {
    "not the primary": (10107, StoreUnavailable),
    "no primary": (13435, StoreUnavailable),
    "not authenticated": (18, StoreUnavailable),
    "no space": (14031, StoreUnavailable),
    "stepped down": (189, OutcomeUnknown),
    "shut down": (91, OutcomeUnknown),
    "interrupted": (11602, OutcomeUnknown),
    "a code that nobody knows": (987_654, OutcomeUnknown),
}


@pytest.mark.parametrize(("code", "meaning"), CODES.values(), ids=CODES.keys())
async def test_a_code_tells_whether_a_write_was_surely_not_applied(
    store: MongoStore, fail: FailPoints, code: int, meaning: type[StoreError]
) -> None:
    await fill(store)
    await fail.next("update", errorCode=code)

    with pytest.raises(meaning):
        await store.write([an_end("0")])


@writes
async def test_a_refused_write_was_surely_not_applied(
    store: MongoStore, fail: FailPoints, command: str, call: Call
) -> None:
    await fill(store)
    before = await store.load(["new", "0", "1", "2", "copy"])
    await fail.next(command, errorCode=13)

    with pytest.raises(StoreUnavailable):
        await call(store)

    assert await store.load(["new", "0", "1", "2", "copy"]) == before


@writes
async def test_a_write_that_took_too_long_may_have_been_applied(
    store: MongoStore, fail: FailPoints, command: str, call: Call
) -> None:
    await fill(store)
    await fail.next(command, errorCode=50)

    with pytest.raises(OutcomeUnknown):
        await call(store)


@writes
async def test_a_write_that_too_few_have_may_yet_be_lost(
    store: MongoStore, fail: FailPoints, command: str, call: Call
) -> None:
    await fill(store)
    await fail.next(command, writeConcernError={"code": 64, "errmsg": "waiting for replication"})

    with pytest.raises(OutcomeUnknown):
        await call(store)


@writes
async def test_a_connection_that_breaks_leaves_a_write_open(
    store: MongoStore, fail: FailPoints, command: str, call: Call
) -> None:
    await fill(store)
    await fail.next(command, closeConnection=True)

    with pytest.raises(OutcomeUnknown):
        await call(store)


@pytest.mark.parametrize(("command", "call"), (READS | PURGES).values(), ids=READS | PURGES)
async def test_a_read_that_fails_applies_nothing(
    store: MongoStore, fail: FailPoints, command: str, call: Call
) -> None:
    await fill(store)
    await fail.next(command, errorCode=13)

    with pytest.raises(StoreUnavailable):
        await call(store)

    await call(store)


async def test_a_read_is_repeated_where_that_is_all_it_takes(
    store: MongoStore, fail: FailPoints
) -> None:
    session = await inserted(store)
    await fail.next("find", closeConnection=True)

    assert await stored(store) == session


async def test_a_read_is_repeated_for_as_long_as_a_call_may_take(
    store: MongoStore, fail: FailPoints
) -> None:
    await fail.next("find", times=1_000, errorCode=11602)

    async with asyncio.timeout(CALL_SECONDS + SLACK_SECONDS):
        with pytest.raises(StoreUnavailable):
            await store.load(["0"])


async def test_a_write_whose_answer_was_lost_is_known_again(
    store: MongoStore, linked: MongoStore, link: LossyLink
) -> None:
    session = await inserted(store)
    change = with_attributes(session, {"a": 1})
    await linked.now()
    link.lose_answer_to("update")

    with pytest.raises(OutcomeUnknown):
        await linked.write([change])

    assert await stored(store) == change.after
    assert await written(linked, change) is Outcome.APPLIED
    assert await stored(store) == change.after


async def test_an_insert_whose_answer_was_lost_is_known_again(
    linked: MongoStore, link: LossyLink
) -> None:
    session = a_session()
    await linked.now()
    link.lose_answer_to("insert")

    with pytest.raises(OutcomeUnknown):
        await linked.insert(session)

    with pytest.raises(AlreadyExists):
        await linked.insert(session)
    assert (await stored_session(linked)).write_id == session.write_id


async def test_writes_whose_answer_was_lost_are_known_again(
    store: MongoStore, linked: MongoStore, link: LossyLink
) -> None:
    await fill(store)
    changes = [with_attributes(session, {"a": 1}) for session in SESSIONS]
    await linked.now()
    link.lose_answer_to("bulkWrite")

    with pytest.raises(OutcomeUnknown):
        await linked.write(changes)

    assert await linked.write(changes) == [Outcome.APPLIED] * 3
    found = await store.load(["0", "1", "2"])
    assert list(found.values()) == [change.after for change in changes]


async def test_nothing_is_open_when_the_look_for_the_outcome_fails(
    store: MongoStore, fail: FailPoints
) -> None:
    session = await inserted(store, version=2)
    stale = with_attributes(a_session(version=1), {"a": 1})
    await fail.next("find", errorCode=13)

    with pytest.raises(OutcomeUnknown):
        await store.write([stale])

    assert await stored(store) == session


EVERYTHING = {name: call for name, (_, call) in (WRITES | READS).items()}


async def test_a_server_out_of_reach_is_unavailable_and_comes_back(
    linked: MongoStore, link: LossyLink
) -> None:
    await fill(linked)
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


async def test_a_server_that_does_not_answer_is_given_up(
    store: MongoStore, fail: FailPoints
) -> None:
    await fill(store)
    late_ms = 1_000 * (CALL_SECONDS + 2 * SLACK_SECONDS)
    await fail.next("update", blockConnection=True, blockTimeMS=int(late_ms))

    async with asyncio.timeout(CALL_SECONDS + SLACK_SECONDS):
        with pytest.raises(OutcomeUnknown):
            await store.write([an_end("0")])


async def test_a_call_that_is_given_up_leaves_the_store_in_order(
    store: MongoStore, fail: FailPoints
) -> None:
    await fill(store)
    await fail.next("update", blockConnection=True, blockTimeMS=500)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await store.write([an_end("0")])

    assert await written(store, an_end("1")) is Outcome.APPLIED


async def test_a_server_without_bulk_writes_is_asked_for_them_once(
    store: MongoStore, fail: FailPoints
) -> None:
    await fill(store)
    await fail.next("bulkWrite", errorCode=59)
    changes = [with_attributes(session, {"a": 1}) for session in SESSIONS]

    assert await store.write(changes) == [Outcome.APPLIED] * 3

    await fail.next("bulkWrite", errorCode=11602)
    again = [with_attributes(change.after, {"a": 2}) for change in changes]
    assert await store.write(again) == [Outcome.APPLIED] * 3
