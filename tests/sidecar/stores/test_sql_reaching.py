"""Why a relational server is out of reach, and what becomes of credentials that change."""

import asyncio
from pathlib import Path

import pytest
from moorline_sidecar.config.secrets import SecretFile
from moorline_sidecar.errors import ConfigurationError, StoreUnavailable
from moorline_sidecar.stores.diagnosis import Diagnosis
from moorline_sidecar.stores.sql import sql_store
from moorline_sidecar.stores.sql_dialects import Dialect
from moorline_sidecar.stores.uri_source import UriSource

from e2e.app.databases import Database
from tests.contract.backends import relational_store
from tests.contract.sessions import inserted, stored
from tests.sidecar.stores.sql_cases import (
    ALL,
    MARIADB,
    POSTGRESQL,
    SERVERS,
    WITHOUT_MYSQL,
    SqlCase,
    run,
    uri_of,
)

SECRET = "s3cret"
PRODUCTS = {
    "postgresql": "PostgreSQL 1",
    "mariadb": "MariaDB 1",
    "mysql": "MySQL 8.0.",
    "tmp_path": "SQLite 3",
}
"""By the fixture."""


async def check(dialect: Dialect, uri: str) -> Diagnosis:
    store = relational_store(dialect, uri)
    try:
        return await store.check()
    finally:
        await store.close()


@pytest.mark.parametrize("case", ALL)
async def test_a_server_in_reach_is_ready(
    case: SqlCase, request: pytest.FixtureRequest, mongo_collection: str
) -> None:
    store = relational_store(case.dialect, uri_of(case, request), mongo_collection)

    diagnosis = await store.check()

    assert diagnosis.is_ready
    assert diagnosis.server.startswith(PRODUCTS[case.fixture])
    assert mongo_collection in diagnosis.indexes
    await store.close()


@pytest.mark.parametrize("case", WITHOUT_MYSQL)
@pytest.mark.parametrize(
    ("host", "reason"),
    [
        pytest.param("127.0.0.1:1", "Unreachable", id="nobody listens"),
        pytest.param("nobody.invalid", "NameNotResolved", id="no such name"),
    ],
)
async def test_what_is_found_out_by_trying(case: SqlCase, host: str, reason: str) -> None:
    assert case.server is not None
    uri = f"{case.server.scheme}://ada:{SECRET}@{host}/sessions"

    diagnosis = await check(case.dialect, uri)

    assert diagnosis.reason == reason
    assert SECRET not in diagnosis.detail


@pytest.mark.parametrize("case", WITHOUT_MYSQL)
async def test_a_server_that_speaks_no_tls_fails_at_that(
    case: SqlCase, request: pytest.FixtureRequest
) -> None:
    option = "sslmode=require" if case is POSTGRESQL else "ssl-mode=REQUIRED"

    diagnosis = await check(case.dialect, f"{uri_of(case, request)}?{option}")

    assert diagnosis.reason == "TLSFailed"


@pytest.mark.parametrize("case", WITHOUT_MYSQL)
async def test_a_server_that_hangs_up_or_says_nothing_is_out_of_reach(case: SqlCase) -> None:
    assert case.server is not None

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        writer.close()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    for answer in (hang_up, say_nothing):
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            uri = f"{case.server.scheme}://ada:{SECRET}@127.0.0.1:{port}/sessions"
            async with asyncio.timeout(20):
                assert (await check(case.dialect, uri)).reason == "Unreachable"


@pytest.mark.parametrize("case", SERVERS)
async def test_a_database_that_does_not_exist_is_named(
    case: SqlCase, request: pytest.FixtureRequest
) -> None:
    uri = uri_of(case, request).rpartition("/")[0] + "/nowhere"

    diagnosis = await check(case.dialect, uri)

    assert diagnosis.reason in {"Unreachable", "AuthenticationFailed"}
    assert "database" in diagnosis.detail


async def test_a_file_that_cannot_be_is_named(tmp_path: Path) -> None:
    case = ALL[-1].values[0]
    assert isinstance(case, SqlCase)
    (tmp_path / "text").write_text("this is no database, " * 100)

    missing = await check(case.dialect, str(tmp_path / "nowhere" / "sessions.db"))
    damaged = await check(case.dialect, str(tmp_path / "text"))

    assert (missing.reason, damaged.reason) == ("Unreachable", "Unreachable")
    assert "folder" in missing.detail
    assert "no SQLite database" in damaged.detail


WRONG = {
    "another kind": (POSTGRESQL, f"mongodb://ada:{SECRET}@db/sessions"),
    "another kind for mysql": (MARIADB, f"postgresql://ada:{SECRET}@db/sessions"),
    "no database": (MARIADB, f"mysql://ada:{SECRET}@db"),
    "no port": (MARIADB, f"mysql://ada:{SECRET}@db:{SECRET}/sessions"),
    "an option that is not known": (MARIADB, f"mysql://ada:{SECRET}@db/d?charset={SECRET}"),
    "a mode that is not known": (MARIADB, f"mysql://ada:{SECRET}@db/d?ssl-mode={SECRET}"),
}


@pytest.mark.parametrize(("case", "uri"), WRONG.values(), ids=WRONG.keys())
def test_a_uri_that_is_of_no_use_is_refused_without_its_content(case: SqlCase, uri: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        relational_store(case.dialect, uri)

    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    "rest", [f"db:{SECRET}/d", f"127.0.0.1/d?sslmode={SECRET}"], ids=["port", "option"]
)
async def test_a_uri_that_only_the_driver_finds_wrong_is_a_missing_one(rest: str) -> None:
    diagnosis = await check(POSTGRESQL.dialect, f"postgresql://ada:{SECRET}@{rest}")

    assert diagnosis.reason == "SecretKeyMissing"
    assert SECRET not in diagnosis.detail


async def test_a_default_that_loses_what_is_acknowledged_does_not_hold_for_us(
    postgresql: Database, mongo_collection: str
) -> None:
    hasty = f"hasty_{mongo_collection}"
    await run(
        POSTGRESQL,
        postgresql.uri,
        f"CREATE ROLE {hasty} LOGIN",
        f"ALTER ROLE {hasty} SET synchronous_commit = off",
    )

    found = await run(POSTGRESQL, postgresql.uri_of(hasty, SECRET), "SHOW synchronous_commit")

    assert found == ["on"]


@pytest.mark.parametrize("case", SERVERS)
async def test_a_user_that_changes_is_read_again(
    case: SqlCase, request: pytest.FixtureRequest, tmp_path: Path, mongo_collection: str
) -> None:
    server = request.getfixturevalue(case.fixture)
    assert isinstance(server, Database)
    one, two = f"one_{mongo_collection}", f"two_{mongo_collection}"
    await run(case, server.uri, *_user(case, one))
    secret = tmp_path / "uri"
    secret.write_text(server.uri_of("nobody", SECRET))
    seconds = 0.0
    source = UriSource(SecretFile(str(secret), ()), lambda: seconds)
    store = sql_store(case.dialect, source, mongo_collection)

    with pytest.raises(StoreUnavailable) as raised:
        await store.now()
    assert SECRET not in str(raised.value)
    assert (await store.check()).reason == "AuthenticationFailed"

    secret.write_text(server.uri_of(one, SECRET))
    seconds += 1
    await store.prepare()
    session = await inserted(store)

    # Who is connected stays so: the next connection is the first to need the new one.
    await run(case, server.uri, *_user(case, two), *await _gone(case, server.uri, one))
    secret.write_text(server.uri_of(two, SECRET))
    seconds += 1
    assert await stored(store) == session
    await store.close()


async def test_a_uri_that_is_not_there_is_named() -> None:
    source = UriSource(SecretFile("/nowhere/uri", (), "shop-postgresql"), member=POSTGRESQL.fixture)
    store = sql_store(POSTGRESQL.dialect, source, "sessions")

    diagnosis = await store.check()

    assert diagnosis.reason == "SecretNotFound"
    assert "spec.backend.postgresql.connectionSecretRef" in diagnosis.detail
    await store.close()


def _user(case: SqlCase, name: str) -> list[str]:
    if case is POSTGRESQL:
        return [f"CREATE ROLE {name} LOGIN SUPERUSER"]
    return [f"CREATE USER {name} IDENTIFIED BY '{SECRET}'", f"GRANT ALL ON moorline.* TO {name}"]


async def _gone(case: SqlCase, uri: str, name: str) -> list[str]:
    """The user may not come in any more, and is shown out."""
    if case is POSTGRESQL:
        terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = "
        return [f"ALTER ROLE {name} NOLOGIN", f"{terminate}'{name}'"]
    lock = f"ALTER USER {name} ACCOUNT LOCK"
    if case is MARIADB:
        return [lock, f"KILL USER {name}"]
    # MySQL knows connections alone by their numbers.
    threads = "SELECT id FROM information_schema.processlist WHERE user = "
    return [lock, *(f"KILL {each}" for each in await run(case, uri, f"{threads}'{name}'"))]
