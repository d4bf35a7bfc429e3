"""The tables are made, and those of an older version get what they lack."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from moorline_sidecar.errors import ConfigurationError, StoreUnavailable
from moorline_sidecar.stores.base import Purge, PurgeKind
from moorline_sidecar.stores.connection import FixedSource
from moorline_sidecar.stores.sql import SqlStore, sql_store

from tests.contract.backends import relational_store
from tests.contract.sessions import an_end, inserted, stored, with_attributes, written
from tests.sidecar.stores.sql_cases import (
    ALL,
    POSTGRESQL,
    SERVERS,
    SQLITE,
    SqlCase,
    run,
    uri_of,
)

each = pytest.mark.parametrize("case", ALL)


@pytest.fixture
def uri(case: SqlCase, request: pytest.FixtureRequest) -> str:
    return uri_of(case, request)


@pytest.fixture
async def store(case: SqlCase, uri: str, mongo_collection: str) -> AsyncIterator[SqlStore]:
    """One without tables yet."""
    store = relational_store(case.dialect, uri, mongo_collection)
    yield store
    await store.close()


@each
async def test_without_its_tables_a_store_is_unavailable(store: SqlStore) -> None:
    with pytest.raises(StoreUnavailable):
        await inserted(store)
    with pytest.raises(StoreUnavailable):
        await store.load(["session-1"])

    assert await store.now()


@each
async def test_a_name_in_upper_and_lower_case_is_quoted_everywhere(
    case: SqlCase, uri: str, mongo_collection: str
) -> None:
    table = f"Jetty{mongo_collection.title()}"
    store = relational_store(case.dialect, uri, table)
    made = await store.prepare()
    again = relational_store(case.dialect, uri, table)
    assert (made[0], await again.prepare()) == (table, made)
    await again.close()

    session = with_attributes(await inserted(store, principal="ada"), {"n": 1})
    await written(store, session)
    await written(store, an_end(session.key))
    assert await store.count() == 1
    await run(case, uri, f"DROP INDEX {_index(case, table)}")
    assert await store.prepare() == made
    everything = Purge(kind=PurgeKind.INVALID, before=10**15, now=10**15)
    assert await store.purgeable(everything, 0) == 1
    assert await store.purge(everything, 0) == 1
    await store.close()


def _index(case: SqlCase, table: str) -> str:
    if case.speaks_mysql:
        return f"`{table}_expiry` ON `{table}`"
    return f'"{table}_expiry"'


@each
async def test_tables_and_indexes_are_made_once_by_many(
    case: SqlCase, store: SqlStore, uri: str, mongo_collection: str
) -> None:
    others = [relational_store(case.dialect, uri, mongo_collection) for _ in range(3)]

    made = await asyncio.gather(*(each.prepare() for each in (store, *others)))

    assert all(names == made[0] for names in made)
    assert made[0][:3] == [
        mongo_collection,
        f"{mongo_collection}_attributes",
        f"{mongo_collection}_workers",
    ]
    assert f"{mongo_collection}_expiry" in made[0]
    for other in others:
        await other.close()


async def test_a_new_file_can_be_opened_by_many_at_once(tmp_path: Path) -> None:
    for number in range(30):
        stores = [
            relational_store(SQLITE.dialect, str(tmp_path / f"{number}.db"), "sessions")
            for _ in range(8)
        ]
        await asyncio.gather(*(store.prepare() for store in stores))
        for store in stores:
            await store.close()


@each
async def test_a_table_of_an_older_version_gets_what_it_lacks(
    case: SqlCase, store: SqlStore, uri: str, mongo_collection: str
) -> None:
    await store.prepare()
    session = await inserted(store)
    on = f" ON {mongo_collection}" if case.speaks_mysql else ""
    await run(
        case,
        uri,
        f"DROP INDEX {mongo_collection}_grace_until{on}",
        f"ALTER TABLE {mongo_collection} DROP COLUMN grace_until",
        f"ALTER TABLE {mongo_collection} DROP COLUMN deadline",
    )
    with pytest.raises(StoreUnavailable):
        await stored(store)

    assert f"{mongo_collection}_grace_until" in await store.prepare()

    assert await stored(store) == session


@each
async def test_a_table_of_something_else_is_left_alone(
    case: SqlCase, store: SqlStore, uri: str, mongo_collection: str
) -> None:
    await run(
        case, uri, f"CREATE TABLE {mongo_collection} (id INTEGER PRIMARY KEY, salary INTEGER)"
    )

    with pytest.raises(ConfigurationError, match="none of sessions"):
        await store.prepare()

    diagnosis = await store.check()
    assert diagnosis.reason == "IndexConflict"
    assert mongo_collection in diagnosis.detail


@each
async def test_columns_may_have_other_names(case: SqlCase, uri: str, mongo_collection: str) -> None:
    renamed = {"id": "sessionId", "accessed": "accessTime", "value": "order"}
    store = sql_store(case.dialect, FixedSource(uri), mongo_collection, renamed)
    await store.prepare()

    session = await inserted(store)
    change = with_attributes(session, {"a": 1})
    await written(store, change)

    assert await stored(store) == change.after
    quote = "`" if case.speaks_mysql else '"'
    found = await run(
        case,
        uri,
        f"SELECT {quote}sessionId{quote} FROM {mongo_collection}",  # noqa: S608 our own
    )
    assert [_text(name) for name in found] == ["session-1"]
    await store.close()


@each
async def test_attributes_can_be_looked_at_and_what_is_no_json_is_a_text(
    case: SqlCase, store: SqlStore, uri: str, mongo_collection: str
) -> None:
    await store.prepare()
    session = await inserted(store)
    attributes = f"{mongo_collection}_attributes"
    (value,) = await run(
        case,
        uri,
        f"SELECT value FROM {attributes} WHERE name = 'cart'",  # noqa: S608 our own
    )
    assert value == "[1,2]"

    await run(
        case,
        uri,
        f"UPDATE {attributes} SET value = 'by hand' WHERE name = 'user'",  # noqa: S608 our own
    )

    found = (await store.load([session.key]))[session.key]
    assert getattr(found, "contexts") == {"/": {"user": "by hand", "cart": [1, 2]}}  # noqa: B009


@pytest.mark.parametrize("case", SERVERS)
async def test_who_may_make_nothing_needs_nothing_where_all_is_there(
    case: SqlCase, store: SqlStore, request: pytest.FixtureRequest, mongo_collection: str
) -> None:
    server = request.getfixturevalue(case.fixture)
    name = f"clerk_{mongo_collection}"
    await run(case, server.uri, *_without_rights(case, name, mongo_collection))
    clerk = relational_store(case.dialect, server.uri_of(name, "secret"), mongo_collection)

    diagnosis = await clerk.check()
    assert diagnosis.reason == "AuthenticationFailed"
    assert "grant" in diagnosis.detail

    await store.prepare()
    await run(case, server.uri, *_rights(case, name, mongo_collection))
    assert (await clerk.check()).is_ready
    await inserted(clerk)
    await clerk.close()


def _without_rights(case: SqlCase, name: str, table: str) -> list[str]:
    del table
    if case is POSTGRESQL:
        return [f"CREATE ROLE {name} LOGIN"]
    return [f"CREATE USER {name} IDENTIFIED BY 'secret'", f"GRANT USAGE ON *.* TO {name}"]


def _rights(case: SqlCase, name: str, table: str) -> list[str]:
    verbs = "SELECT, INSERT, UPDATE, DELETE"
    tables = [table, f"{table}_attributes", f"{table}_workers"]
    if case is POSTGRESQL:
        return [f"GRANT {verbs} ON {', '.join(tables)} TO {name}"]
    return [f"GRANT {verbs} ON moorline.{each} TO {name}" for each in tables]


def _text(value: object) -> object:
    return value.decode() if isinstance(value, bytes) else value
