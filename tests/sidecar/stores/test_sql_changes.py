"""PostgreSQL tells of what late transactions did, once, and knows what it cannot tell any more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from moorline_sidecar.domain.ids import hashed_key, new_id
from moorline_sidecar.domain.policies import Policy
from moorline_sidecar.domain.session import Reason, Tombstone
from moorline_sidecar.errors import HistoryLost, StoreError, StreamUnsupported
from moorline_sidecar.sessions.service import Sessions
from moorline_sidecar.stores import sql_changes
from moorline_sidecar.stores.base import Purge, PurgeKind, Stream
from moorline_sidecar.stores.sql import SqlStore
from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from e2e.app.databases import Database, PostgreSQLServer
from tests.contract.backends import relational_store
from tests.contract.sessions import T0, an_end, inserted, with_attributes, written
from tests.lossy_link import lossy_link
from tests.sidecar.sessions.workers import asked
from tests.sidecar.stores.crashes import until_it_answers
from tests.sidecar.stores.sql_cases import POSTGRESQL, SQLITE, raw, run
from tests.stores_fixtures import running_database

SECONDS = 30


@pytest.fixture
async def store(postgresql: Database, mongo_collection: str) -> AsyncIterator[SqlStore]:
    store = relational_store(POSTGRESQL.dialect, postgresql.uri, mongo_collection)
    await store.prepare()
    yield store
    await store.close()


@asynccontextmanager
async def another_transaction(uri: str, table: str, key: str) -> AsyncIterator[AsyncConnection]:
    """One of somebody else that has changed a session, and is open still."""
    async with raw(POSTGRESQL, uri) as connection:
        await connection.exec_driver_sql("BEGIN")
        await connection.execute(
            text(f"INSERT INTO {table}_changes (id, version) VALUES (:key, 7)"),  # noqa: S608
            {"key": key},
        )
        yield connection


async def told(stream: Stream, number: int) -> list[tuple[str, int | None]]:
    """What comes next, at least so much."""
    seen: list[tuple[str, int | None]] = []
    async with asyncio.timeout(SECONDS):
        while len(seen) < number:
            seen += [(each.key, each.version) for each in (await stream.receive(0)).seen]
    return seen


async def changed_once(store: SqlStore, key: str) -> None:
    await written(store, with_attributes(await inserted(store, key), {"n": 1}))


async def test_changes_are_told_of_a_table_in_upper_and_lower_case(
    postgresql: Database, mongo_collection: str
) -> None:
    table = f"Jetty{mongo_collection.title()}"
    store = relational_store(POSTGRESQL.dialect, postgresql.uri, table)
    await store.prepare()
    async with store.watch() as stream:
        await changed_once(store, "first")
        assert await told(stream, 1) == [("first", 2)]
        await run(POSTGRESQL, postgresql.uri, f'DROP TABLE "{table}_changes"')
        await store.prepare()
        with pytest.raises(HistoryLost):
            await told(stream, 1)
    await store.close()


async def test_what_commits_late_is_told_late_and_delays_nobody(
    store: SqlStore, postgresql: Database, mongo_collection: str
) -> None:
    async with store.watch() as stream:
        async with another_transaction(postgresql.uri, mongo_collection, "late") as late:
            await changed_once(store, "first")
            assert await told(stream, 1) == [("first", 2)]
            await changed_once(store, "second")
            assert await told(stream, 1) == [("second", 2)]
            heard = await stream.receive(9)
            assert (list(heard.seen), heard.complete_until) == ([], 9)
            await late.exec_driver_sql("COMMIT")
        await changed_once(store, "third")
        assert sorted(await told(stream, 2)) == [("late", 7), ("third", 2)]


async def test_what_is_under_way_when_a_stream_begins_is_told(
    store: SqlStore, postgresql: Database, mongo_collection: str
) -> None:
    async with another_transaction(postgresql.uri, mongo_collection, "late") as late:
        async with store.watch() as stream:
            token = (await stream.receive(0)).token
        await late.exec_driver_sql("COMMIT")
    async with store.watch(token) as stream:
        assert await told(stream, 1) == [("late", 7)]


async def test_what_was_rolled_back_is_not_told(
    store: SqlStore, postgresql: Database, mongo_collection: str
) -> None:
    async with store.watch() as stream:
        async with another_transaction(postgresql.uri, mongo_collection, "never") as never:
            await stream.receive(0)
            await never.exec_driver_sql("ROLLBACK")
        await changed_once(store, "first")
        assert await told(stream, 1) == [("first", 2)]


async def test_changes_of_many_at_once_are_each_told_once_and_in_order(
    store: SqlStore, mongo_collection: str, postgresql: Database
) -> None:
    other = relational_store(POSTGRESQL.dialect, postgresql.uri, mongo_collection)

    async def write(by: SqlStore, key: str) -> None:
        session = await inserted(by, key)
        for n in range(10):
            change = with_attributes(session, {"n": n})
            await written(by, change)
            session = change.after

    async with store.watch() as stream:
        async with asyncio.TaskGroup() as tasks:
            hearing = tasks.create_task(told(stream, 80))
            for n in range(8):
                tasks.create_task(write(other if n % 2 else store, f"session-{n}"))
        seen = hearing.result()
    await other.close()
    for n in range(8):
        versions = [version for key, version in seen if key == f"session-{n}"]
        assert versions == list(range(2, 12))


async def test_a_connection_that_is_cut_loses_nothing(
    store: SqlStore, postgresql: Database, mongo_collection: str
) -> None:
    async with lossy_link(postgresql.uri) as link:
        uri = postgresql.uri.replace(str(postgresql.port), str(link.port))
        linked = relational_store(POSTGRESQL.dialect, uri, mongo_collection)
        async with linked.watch() as stream:
            token = (await stream.receive(0)).token
            await link.close()
            await changed_once(store, "meanwhile")
            with pytest.raises(StoreError):
                await stream.receive(1)
            await link.open()
        async with linked.watch(token) as stream:
            assert await told(stream, 1) == [("meanwhile", 2)]
        await linked.close()


async def test_connections_that_the_server_ends_are_made_again(
    store: SqlStore, postgresql: Database
) -> None:
    async with store.watch() as stream:
        await stream.receive(0)
        await run(
            POSTGRESQL,
            postgresql.uri,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'moorline-sidecar' AND pid <> pg_backend_pid()",
        )
        await changed_once(store, "after")
        assert await told(stream, 1) == [("after", 2)]


async def test_a_server_that_was_started_anew_has_lost_its_history() -> None:
    with running_database(PostgreSQLServer, "fsync=off") as server:
        store = relational_store(POSTGRESQL.dialect, server.uri)
        await store.prepare()
        async with store.watch() as stream:
            token = (await stream.receive(0)).token
            server.kill()
            with pytest.raises(StoreError):
                await stream.receive(0)
            server.start()
            await until_it_answers(store)
            with pytest.raises(HistoryLost):
                await stream.receive(0)
        async with store.watch(token) as stream:
            with pytest.raises(HistoryLost):
                await stream.receive(0)
        async with store.watch() as stream:
            await changed_once(store, "after")
            assert await told(stream, 1) == [("after", 2)]
        await store.close()


async def test_a_table_that_was_made_anew_has_lost_its_history(
    store: SqlStore, postgresql: Database, mongo_collection: str
) -> None:
    async with store.watch() as stream:
        await stream.receive(0)
        await run(POSTGRESQL, postgresql.uri, f"DROP TABLE {mongo_collection}_changes")
        await store.prepare()
        with pytest.raises(HistoryLost, match="another one"):
            await stream.receive(0)


async def test_a_look_that_comes_too_late_has_lost_the_history(store: SqlStore) -> None:
    async with store.watch() as stream:
        token = (await stream.receive(0)).token
    assert isinstance(token, sql_changes.Place)
    old = replace(token, now=token.now - sql_changes.GAP_MS - 1)
    async with store.watch(old) as stream:
        with pytest.raises(HistoryLost, match="too long ago"):
            await stream.receive(0)


async def test_more_than_a_look_takes_is_lost(
    store: SqlStore, postgresql: Database, mongo_collection: str
) -> None:
    async with store.watch() as stream:
        await stream.receive(0)
        await run(
            POSTGRESQL,
            postgresql.uri,
            f"INSERT INTO {mongo_collection}_changes (id, version) "  # noqa: S608
            f"SELECT n, 1 FROM generate_series(1, {sql_changes.ROWS_MAX + 1}) n",
        )
        with pytest.raises(HistoryLost, match="too much"):
            await stream.receive(0)


async def test_what_everybody_could_see_long_ago_is_removed(
    store: SqlStore, postgresql: Database, mongo_collection: str
) -> None:
    now = 0.0
    table = store.changes
    assert table is not None
    table.clock = lambda: now
    async with another_transaction(postgresql.uri, mongo_collection, "late") as late:
        await changed_once(store, "old")
        await table.tidy()
        now = sql_changes.KEPT_SECONDS + 1
        await table.tidy()
        await late.exec_driver_sql("COMMIT")
    # Somebody was under way when it was last looked at: all that began later stays for now.
    assert await kept(postgresql, mongo_collection) == ["late", "old"]

    await table.tidy()
    now *= 2
    await changed_once(store, "new")
    await table.tidy()

    assert await kept(postgresql, mongo_collection) == ["new"]


async def kept(server: Database, table: str) -> list[object]:
    return await run(POSTGRESQL, server.uri, f"SELECT id FROM {table}_changes ORDER BY id")  # noqa: S608


async def test_a_sidecar_drops_what_ended_on_another(
    store: SqlStore, postgresql: Database, mongo_collection: str
) -> None:
    far = relational_store(POSTGRESQL.dialect, postgresql.uri, mongo_collection)
    async with (
        Sessions(store, Policy(worker="a")) as a,
        Sessions(far, Policy(worker="b")) as b,
        asyncio.timeout(SECONDS),
    ):
        while not a.core.coverage.is_live(a.core.clock.monotonic()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        _, session_id = await a.create(new_id(), asked(set={"user": "ada"}))
        key = hashed_key(session_id)
        assert await b.invalidate(key, Reason.ADMIN)
        while not isinstance((entry := a.core.l1.peek(key)) and entry.record, Tombstone):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert a.core.counters.stream_losses == 0
    await far.close()


async def test_a_purge_of_tombstones_tells_nothing(store: SqlStore) -> None:
    await inserted(store)
    await written(store, an_end())
    async with store.watch() as stream:
        await store.purge(Purge(kind=PurgeKind.INVALID, before=T0 + 10**9, now=T0 + 10**9), 0)
        assert list((await stream.receive(0)).seen) == []


async def test_others_say_that_they_tell_nothing(tmp_path: object) -> None:
    store = relational_store(SQLITE.dialect, f"{tmp_path}/sessions.db")
    with pytest.raises(StreamUnsupported, match="SQLite"):
        store.watch()
    await store.close()
