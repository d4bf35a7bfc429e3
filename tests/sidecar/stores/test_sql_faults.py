"""What a relational store answers when a call goes wrong: perhaps applied, or surely not."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

import pytest
import uvloop
from moorline_sidecar.errors import (
    StoreRefused,
    StoreUnavailable,
)
from moorline_sidecar.stores.base import Outcome
from moorline_sidecar.stores.sql import SqlStore
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.contract.backends import relational_store
from tests.contract.sessions import (
    a_session,
    an_end,
    changed,
    inserted,
    stored,
    with_attributes,
    written,
)
from tests.lossy_link import LossyLink, lossy_link
from tests.sidecar.stores import failing
from tests.sidecar.stores.crashes import until_it_answers
from tests.sidecar.stores.failing import EVERYTHING, KEYS, PURGE, SESSIONS, WRITES, Call, fill
from tests.sidecar.stores.sql_cases import (
    ALL,
    MYSQL,
    SERVERS,
    WITHOUT_MYSQL,
    SqlCase,
    raw,
    run,
    uri_of,
)

ALL_CALLS: Final = EVERYTHING | {"purge": lambda store: store.purge(PURGE, 10)}
writes = pytest.mark.parametrize("call", WRITES.values(), ids=WRITES.keys())
servers = pytest.mark.parametrize("case", SERVERS)
each = pytest.mark.parametrize("case", ALL)


@pytest.fixture
async def store(
    case: SqlCase, request: pytest.FixtureRequest, mongo_collection: str
) -> AsyncIterator[SqlStore]:
    store = relational_store(case.dialect, uri_of(case, request), mongo_collection)
    await store.prepare()
    yield store
    await store.close()


@pytest.fixture
async def link(case: SqlCase, request: pytest.FixtureRequest) -> AsyncIterator[LossyLink]:
    async with lossy_link(uri_of(case, request)) as link:
        yield link


@pytest.fixture
async def linked(
    case: SqlCase, request: pytest.FixtureRequest, link: LossyLink, mongo_collection: str
) -> AsyncIterator[SqlStore]:
    """The same data as `store`, over the link."""
    server = request.getfixturevalue(case.fixture)
    uri = server.uri.replace(str(server.port), str(link.port))
    store = relational_store(case.dialect, uri, mongo_collection)
    await store.now()
    yield store
    await store.close()


@servers
@writes
async def test_a_commit_whose_answer_was_lost_may_have_been_applied(
    store: SqlStore, linked: SqlStore, link: LossyLink, call: Call
) -> None:
    await failing.check_lost_answer(store, linked, call, link.lose_answer_after, b"COMMIT")


@servers
def test_a_connection_that_broke_is_put_away_without_a_word(
    case: SqlCase, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    uri = uri_of(case, request)

    async def break_one() -> None:
        async with raw(case, uri) as connection:
            found = connection.sync_connection
            assert found is not None
            case.dialect.abort(found.connection.driver_connection)
            await asyncio.sleep(0)
            await connection.invalidate()

    # As the sidecar runs: uvloop has an error of its own for what is closed.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(break_one())
    assert caplog.messages == []


@servers
async def test_a_write_whose_answer_was_lost_is_known_again(
    store: SqlStore, linked: SqlStore, link: LossyLink
) -> None:
    await failing.check_known_again(store, linked, link.lose_answer_after, b"COMMIT")


@servers
async def test_an_insert_whose_answer_was_lost_is_known_again(
    store: SqlStore, linked: SqlStore, link: LossyLink
) -> None:
    await failing.check_insert_known_again(store, linked, link.lose_answer_after, b"COMMIT")


@servers
async def test_a_connection_that_breaks_before_the_commit_applies_nothing_and_is_replaced(
    store: SqlStore, linked: SqlStore, link: LossyLink
) -> None:
    session = await inserted(store)
    change = with_attributes(session, {"a": 1})
    link.lose_answer_after(b"UPDATE")

    assert await written(linked, change) is Outcome.APPLIED

    assert await stored(store) == change.after


@servers
async def test_connections_that_all_went_stale_are_replaced_unnoticed(
    linked: SqlStore, link: LossyLink, store: SqlStore
) -> None:
    session = await inserted(store)
    await asyncio.gather(*(linked.load(["session-1"]) for _ in range(20)))
    await link.close()
    await link.open()

    assert await stored(linked) == session
    change = with_attributes(session, {"a": 1})
    assert await written(linked, change) is Outcome.APPLIED


@servers
async def test_a_server_out_of_reach_is_unavailable_and_comes_back(
    store: SqlStore, linked: SqlStore, link: LossyLink
) -> None:
    await failing.check_out_of_reach(store, linked, link, ALL_CALLS)


@servers
async def test_a_server_that_does_not_answer_is_given_up_in_time(
    store: SqlStore, linked: SqlStore, link: LossyLink
) -> None:
    await fill(store)
    before = await store.load(KEYS)
    link.stall()

    async with asyncio.timeout(10):
        results = await asyncio.gather(
            *(call(linked) for name, call in EVERYTHING.items() if name != "purge"),
            return_exceptions=True,
        )

    # Nothing was committed: what failed so late was surely not applied.
    assert {type(result) for result in results} == {StoreUnavailable}
    assert await store.load(KEYS) == before
    await link.close()
    await link.open()
    await until_it_answers(linked)
    assert await linked.load(KEYS) == before


@each
async def test_a_call_ends_within_its_time_while_others_hold_what_it_wants(
    case: SqlCase, store: SqlStore, request: pytest.FixtureRequest, mongo_collection: str
) -> None:
    await fill(store)
    before = await store.load(KEYS)
    async with raw(case, uri_of(case, request)) as connection:
        await lock_all(case, connection, mongo_collection)
        began = time.monotonic()
        results = await asyncio.gather(
            *(store.write([with_attributes(session, {"a": 1})]) for session in SESSIONS),
            return_exceptions=True,
        )
        seconds = time.monotonic() - began
        await connection.exec_driver_sql("ROLLBACK")

    assert {type(result) for result in results} == {StoreUnavailable}
    assert seconds < 5
    assert await store.load(KEYS) == before
    assert await written(store, with_attributes(SESSIONS[0], {"a": 1})) is Outcome.APPLIED


@each
async def test_a_call_that_is_given_up_leaves_the_store_in_order(
    case: SqlCase, store: SqlStore, request: pytest.FixtureRequest, mongo_collection: str
) -> None:
    await fill(store)
    before = await store.load(KEYS)
    async with raw(case, uri_of(case, request)) as connection:
        await lock_all(case, connection, mongo_collection)
        for session in SESSIONS:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await store.write([with_attributes(session, {"a": 1})])
        await connection.exec_driver_sql("ROLLBACK")

    # What was given up is not applied later either.
    assert await written(store, an_end("1")) is Outcome.APPLIED
    found = await store.load(KEYS)
    assert {key: found[key] for key in found if key != "1"} == {
        key: before[key] for key in before if key != "1"
    }


@each
async def test_calls_that_are_given_up_at_any_moment_apply_whole_or_not_at_all(
    store: SqlStore,
) -> None:
    await failing.check_given_up(store, step_seconds=0.0005)


@pytest.mark.parametrize("case", WITHOUT_MYSQL)
async def test_what_a_frozen_process_holds_is_let_go_by_the_server(
    case: SqlCase, store: SqlStore, request: pytest.FixtureRequest, mongo_collection: str
) -> None:
    session = await inserted(store)
    change = with_attributes(session, {"a": 1})
    engine = case.dialect.engine(uri_of(case, request))
    connection = await engine.connect()
    await lock_all(case, connection, mongo_collection)

    outcome: Outcome | None = None
    async with asyncio.timeout(30):
        while outcome is None:
            with suppress(StoreUnavailable):
                outcome = await written(store, change)

    assert outcome is Outcome.APPLIED
    await connection.invalidate()
    await connection.close()
    await engine.dispose()


@each
async def test_what_the_server_refuses_fails_alone(
    case: SqlCase, store: SqlStore, request: pytest.FixtureRequest, mongo_collection: str
) -> None:
    await fill(store)
    await forbid(case, uri_of(case, request), mongo_collection)

    with pytest.raises(StoreRefused):
        await store.insert(a_session("new", principal="mallory"))

    principals = ["ada", "mallory", "grace"]
    changes = [
        changed(session, principal=name) for session, name in zip(SESSIONS, principals, strict=True)
    ]
    assert await store.write(changes) == [Outcome.APPLIED, Outcome.REFUSED, Outcome.APPLIED]
    found = await store.load(["0", "1", "2", "new"])
    assert list(found.values()) == [changes[0].after, SESSIONS[1], changes[2].after]


async def lock_all(case: SqlCase, connection: AsyncConnection, table: str) -> None:
    """Keep every row from being written to, until a rollback."""
    await connection.exec_driver_sql(case.dialect.begin)
    await connection.exec_driver_sql(f"UPDATE {table} SET version = version + 1")  # noqa: S608 our own


async def forbid(case: SqlCase, uri: str, table: str) -> None:
    """Let the server refuse a principal."""
    if case.server is None:
        trigger = f"CREATE TRIGGER no BEFORE UPDATE ON {table} WHEN NEW.principal = 'mallory'"
        on_insert = trigger.replace("UPDATE", "INSERT").replace("TRIGGER no", "TRIGGER not_new")
        refuse = " BEGIN SELECT RAISE(ABORT, 'not her'); END"
        await run(case, uri, trigger + refuse, on_insert + refuse)
    elif case is MYSQL:
        # It minds checks since 8.0.16 alone, and what may not be empty since ever.
        empty = "SET NEW.version = IF(NEW.principal = 'mallory', NULL, NEW.version)"
        for moment in ("UPDATE", "INSERT"):
            trigger = f"CREATE TRIGGER {table}_{moment} BEFORE {moment} ON {table}"
            await run(case, uri, f"{trigger} FOR EACH ROW {empty}")
    else:
        rule = "principal IS NULL OR principal <> 'mallory'"
        await run(case, uri, f"ALTER TABLE {table} ADD CONSTRAINT not_her CHECK ({rule})")
