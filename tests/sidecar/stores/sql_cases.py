"""Relational servers for tests: what each needs to be connected to, and looked into."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import pytest
from moorline_sidecar.stores.sql_dialects import Dialect
from moorline_sidecar.stores.sql_mysql import MySQL
from moorline_sidecar.stores.sql_postgresql import PostgreSQL
from moorline_sidecar.stores.sql_sqlite import SQLite
from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from e2e.app.databases import Database, MariaDBServer, PostgreSQLServer
from e2e.app.mysql_server import MySQLServer


class SqlCase(Struct, frozen=True, kw_only=True):
    """One kind of server; `server` is None where there is none to connect to."""

    dialect: Dialect
    fixture: str
    server: type[Database] | None = None
    options: Sequence[str] = ()

    @property
    def speaks_mysql(self) -> bool:
        return self.dialect.name == "MySQL"


POSTGRESQL: Final = SqlCase(dialect=PostgreSQL(), fixture="postgresql", server=PostgreSQLServer)
MARIADB: Final = SqlCase(dialect=MySQL(), fixture="mariadb", server=MariaDBServer)
MYSQL: Final = SqlCase(dialect=MySQL(), fixture="mysql", server=MySQLServer)
SQLITE: Final = SqlCase(dialect=SQLite(), fixture="tmp_path")

SERVERS: Final = [
    pytest.param(POSTGRESQL, id="postgresql"),
    pytest.param(MARIADB, id="mariadb"),
    pytest.param(MYSQL, id="mysql"),
]
WITHOUT_MYSQL: Final = SERVERS[:2]
"""For what it has not, and for what a driver does alone, which is the one of MariaDB."""
ALL: Final = [*SERVERS, pytest.param(SQLITE, id="sqlite")]


def uri_of(case: SqlCase, request: pytest.FixtureRequest) -> str:
    """Where to connect to: the server that all tests share, or a file."""
    found = request.getfixturevalue(case.fixture)
    return found.uri if isinstance(found, Database) else str(found / "sessions.db")


@asynccontextmanager
async def raw(case: SqlCase, uri: str) -> AsyncIterator[AsyncConnection]:
    """A connection of one's own; each statement is a transaction, unless one is begun."""
    engine = case.dialect.engine(uri, is_slow=True)
    try:
        async with engine.connect() as connection:
            yield connection
    finally:
        await engine.dispose()


async def run(case: SqlCase, uri: str, *statements: str) -> list[object]:
    """What the last statement answers, as the first column of its rows."""
    found: list[object] = []
    async with raw(case, uri) as connection:
        for statement in statements:
            result = await connection.execute(text(statement))
            found = list(result.scalars()) if result.returns_rows else []
    return found
