"""PostgreSQL behind PgBouncer, which gives each transaction a server that others have used."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from moorline_sidecar.domain.ids import hashed_key, new_id
from moorline_sidecar.domain.policies import Policy
from moorline_sidecar.domain.session import Reason, Tombstone
from moorline_sidecar.errors import HistoryLost, StoreUnavailable
from moorline_sidecar.sessions.service import Sessions
from moorline_sidecar.stores.base import Outcome, Purge, PurgeKind
from moorline_sidecar.stores.sql import SqlStore
from moorline_sidecar.stores.sql_dialects import CONNECTIONS_MAX

from e2e.app.databases import Database, PostgreSQLServer, running
from e2e.app.pgbouncer import TRANSACTION, PgBouncer
from tests.contract.backends import relational_store
from tests.contract.sessions import a_session, inserted, stored, with_attributes, written
from tests.lossy_link import lossy_link
from tests.sidecar.sessions.workers import asked
from tests.sidecar.stores.certificates import self_signed
from tests.sidecar.stores.crashes import begun, check_survival
from tests.sidecar.stores.failing import in_time, insert_in_time
from tests.sidecar.stores.sql_cases import POSTGRESQL, run
from tests.stores_fixtures import running_database

DIALECT = POSTGRESQL.dialect
IGNORED = "ignore_startup_parameters = statement_timeout,idle_in_transaction_session_timeout"
SECONDS = 30
TIMES = 6


class Standby(PostgreSQLServer):
    """A server that may be started anew as one that only repeats what another one does."""

    def demote(self) -> None:
        self.stop()
        (self._data / "standby.signal").touch()
        self.start()

    def is_ready(self) -> bool:
        with suppress(FileNotFoundError):
            status = (self._data / "postmaster.pid").read_text().split()[-1:]
            return status in (["ready"], ["standby"])
        return False


class TlsPooler(PgBouncer):
    """One that speaks nothing but TLS, as `localhost`."""

    def make(self) -> None:
        super().make()
        for file in self_signed(self._folder):
            if self._user is not None:
                shutil.chown(file, self._user)

    @property
    def certificate(self) -> bytes:
        return (self._folder / "server.crt").read_bytes()


@asynccontextmanager
async def store_at(server: Database, table: str = "sessions") -> AsyncIterator[SqlStore]:
    store = relational_store(DIALECT, server.uri, table)
    try:
        await store.prepare()
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def driver_connection(uri: str) -> AsyncIterator[Any]:
    """As a store has it."""
    engine = DIALECT.engine(uri)
    async with engine.connect() as connection:
        sync = connection.sync_connection
        assert sync is not None
        yield sync.connection.driver_connection
    await engine.dispose()


async def use(store: SqlStore, name: str) -> None:
    """All kinds of calls, each of whose answers must be that to its own statement."""
    for n in range(TIMES):
        session = a_session(f"{name}-{n}", principal=name)
        await insert_in_time(store, session)
        change, late = (with_attributes(session, {"n": value}) for value in (n, -1))
        assert await in_time(partial(written, store, change)) is Outcome.APPLIED
        assert await in_time(partial(written, store, late)) is Outcome.CONFLICT
        assert await in_time(partial(stored, store, session.key)) == change.after
        marks = await in_time(partial(store.confirm, [session.key]))
        assert marks[session.key].version == 2
        assert len(await in_time(partial(store.by_principal, name, None, 100))) == n + 1
        assert await in_time(partial(store.expired, 0, 10)) == []


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(TRANSACTION, id="a server for each transaction"),
        pytest.param(("pool_mode = session", "default_pool_size = 30", IGNORED), id="session"),
    ],
)
async def test_calls_are_answered_by_whichever_mode(
    settings: tuple[str, ...], postgresql: Database, mongo_collection: str
) -> None:
    with running_database(PgBouncer, str(postgresql.port), *settings) as pooler:
        async with (
            store_at(pooler, mongo_collection) as one,
            store_at(pooler, mongo_collection) as two,
        ):
            assert (await one.check()).is_ready
            async with asyncio.TaskGroup() as tasks:
                for n in range(CONNECTIONS_MAX):
                    tasks.create_task(use(one, f"one-{n}"))
                    tasks.create_task(use(two, f"two-{n}"))
            number = 2 * CONNECTIONS_MAX * TIMES
            assert await one.count() == number
            purge = Purge(kind=PurgeKind.VALID, before=1 << 60, now=1 << 60)
            assert await two.purge(purge, 0) == number


async def test_nothing_is_left_on_a_server_that_others_get_next(
    pgbouncer: Database, mongo_collection: str
) -> None:
    async with store_at(pgbouncer, mongo_collection) as store:
        await asyncio.gather(*(use(store, f"user-{n}") for n in range(CONNECTIONS_MAX)))
    left = (
        "SELECT (SELECT count(*) FROM pg_prepared_statements), pg_backend_pid(), "
        "current_setting('statement_timeout'), "
        "current_setting('idle_in_transaction_session_timeout')"
    )
    async with driver_connection(pgbouncer.uri) as connection:
        rows = [tuple((await connection.fetch(left))[0]) for _ in range(12)]

    assert {(row[0], *row[2:]) for row in rows} == {(0, "0", "0")}
    assert len({row[1] for row in rows}) > 1


async def test_a_statement_has_a_name_that_no_other_process_gives(postgresql: Database) -> None:
    """So that behind a pooler that was not noticed it is missing, and not another one."""
    async with driver_connection(postgresql.uri) as connection:
        names = await connection.fetch("SELECT name FROM pg_prepared_statements")

    assert names
    assert all(re.search("_[0-9a-f]{16}$", row["name"]) for row in names)


async def test_each_transaction_has_the_settings_of_a_connection(
    postgresql: Database, pgbouncer: Database, mongo_collection: str
) -> None:
    """In a database that loses what it acknowledged, and never ends anything, by its default."""
    hasty = f"hasty_{mongo_collection}"
    await run(
        POSTGRESQL,
        postgresql.uri,
        f"CREATE DATABASE {hasty}",
        f"ALTER DATABASE {hasty} SET synchronous_commit = off",
    )
    names = ("synchronous_commit", "statement_timeout", "idle_in_transaction_session_timeout")
    settings = "SELECT " + ", ".join(f"current_setting('{name}')" for name in names)
    uri = f"{pgbouncer.uri.rpartition('/')[0]}/{hasty}"
    async with driver_connection(uri) as connection:
        for _ in range(8):
            await connection.execute(connection.begin)
            assert tuple(await connection.fetchrow(settings)) == ("on", "2400ms", "2400ms")
            await connection.execute("COMMIT")
            assert tuple(await connection.fetchrow(settings)) == ("off", "0", "0")


async def test_what_a_frozen_process_holds_is_let_go_by_the_server(
    pgbouncer: Database, mongo_collection: str
) -> None:
    async with (
        store_at(pgbouncer, mongo_collection) as store,
        driver_connection(pgbouncer.uri) as frozen,
        asyncio.timeout(SECONDS),
    ):
        change = with_attributes(await inserted(store), {"a": 1})
        await frozen.execute(frozen.begin)
        await frozen.execute(f"UPDATE {mongo_collection} SET version = 9")  # noqa: S608 our own
        outcome: Outcome | None = None
        while outcome is None:
            with suppress(StoreUnavailable):
                outcome = await written(store, change)

    assert outcome is Outcome.APPLIED


async def test_a_pooler_that_gives_each_statement_a_server_is_told_from_others(
    postgresql: Database,
) -> None:
    with running_database(PgBouncer, str(postgresql.port), "pool_mode = statement") as pooler:
        store = relational_store(DIALECT, pooler.uri)
        diagnosis = await store.check()
        await store.close()

    assert diagnosis.reason == "UnsupportedVersion"
    assert "pool_mode" in diagnosis.detail


async def test_a_setting_of_the_uri_that_a_pooler_does_not_take_is_named(
    pgbouncer: Database,
) -> None:
    store = relational_store(DIALECT, f"{pgbouncer.uri}?search_path=elsewhere")
    diagnosis = await store.check()
    await store.close()

    assert diagnosis.reason == "UnsupportedVersion"
    assert "ignore_startup_parameters" in diagnosis.detail
    assert "search_path" in diagnosis.detail


async def test_a_pooler_that_comes_in_between_is_noticed_and_so_is_that_it_goes(
    postgresql: Database, mongo_collection: str
) -> None:
    async with lossy_link(postgresql.uri) as link:
        uri = postgresql.uri.replace(str(postgresql.port), str(link.port))
        store = relational_store(DIALECT, uri, mongo_collection)
        await store.prepare()
        await use(store, "before")
        await link.close()
        with running(PgBouncer, str(postgresql.port), *TRANSACTION, port=link.port):
            await asyncio.gather(*(use(store, f"between-{n}") for n in range(3)))
        await link.open()
        await use(store, "after")
        await store.close()


async def test_what_was_acknowledged_survives_a_pooler_that_is_killed(
    postgresql: Database, mongo_collection: str
) -> None:
    with running_database(PgBouncer, str(postgresql.port), *TRANSACTION) as pooler:
        async with store_at(pooler, mongo_collection) as store:
            await check_survival(store, pooler, await begun(store), store)


async def test_what_was_acknowledged_survives_a_server_behind_that_is_killed() -> None:
    with (
        running_database(PostgreSQLServer) as server,
        running_database(PgBouncer, str(server.port), *TRANSACTION) as pooler,
    ):
        async with store_at(pooler) as store, store.watch() as stream:
            await stream.receive(0)
            await check_survival(store, server, await begun(store), store)
            with pytest.raises(HistoryLost):
                await stream.receive(0)


async def test_no_read_is_answered_by_a_server_that_has_become_a_standby() -> None:
    """The pooler keeps its clients, and who was a primary when they came is none any more."""
    with (
        running_database(Standby, "fsync=off") as server,
        running_database(PgBouncer, str(server.port), *TRANSACTION) as pooler,
    ):
        async with store_at(pooler) as store:
            session = await inserted(store)
            assert await stored(store) == session
            server.demote()
            async with asyncio.timeout(SECONDS):
                while not await is_read_from_a_standby(pooler.uri):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            for _ in range(8):
                with pytest.raises(StoreUnavailable):
                    await store.load([session.key])
            assert (await store.check()).reason == "NotPrimary"


async def is_read_from_a_standby(uri: str) -> bool:
    with suppress(asyncpg.PostgresError):
        connection = await asyncpg.connect(uri, statement_cache_size=0)
        try:
            return bool(await connection.fetchval("SELECT pg_is_in_recovery()"))
        finally:
            await connection.close()
    return False


async def test_a_sidecar_drops_what_ended_on_another(
    pgbouncer: Database, mongo_collection: str
) -> None:
    """Nothing is pushed through a pooler: the stream asks, and each look is one transaction."""
    async with (
        store_at(pgbouncer, mongo_collection) as store,
        store_at(pgbouncer, mongo_collection) as far,
        Sessions(store, Policy(worker="a")) as a,
        Sessions(far, Policy(worker="b")) as b,
        asyncio.timeout(SECONDS),
    ):
        while not a.core.coverage.is_live(a.core.clock.monotonic()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        for _ in range(10):
            _, session_id = await a.create(new_id(), asked(set={"user": "ada"}))
            key = hashed_key(session_id)
            assert await b.invalidate(key, Reason.ADMIN)
            while not isinstance((entry := a.core.l1.peek(key)) and entry.record, Tombstone):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert a.core.counters.stream_losses == 0
        assert a.core.counters.stream_breaks == 0


async def test_tls_reaches_to_the_pooler(
    postgresql: Database, tmp_path: Path, mongo_collection: str
) -> None:
    unknown, _ = self_signed(tmp_path)
    settings = (
        "client_tls_sslmode = require",
        "client_tls_cert_file = server.crt",
        "client_tls_key_file = server.key",
    )
    with running_database(TlsPooler, str(postgresql.port), *TRANSACTION, *settings) as pooler:
        (tmp_path / "ca.crt").write_bytes(pooler.certificate)
        host = pooler.uri.replace("127.0.0.1", "localhost")
        verified = f"{host}?sslmode=verify-full&sslrootcert={tmp_path / 'ca.crt'}"
        other = f"{host}?sslmode=verify-full&sslrootcert={unknown}"
        diagnoses = []
        for uri in (verified, other):
            store = relational_store(DIALECT, uri, mongo_collection)
            diagnoses.append((await store.check()).reason)
            await store.close()
    assert diagnoses == ["Ready", "TLSFailed"]
