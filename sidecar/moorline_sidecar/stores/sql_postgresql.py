"""PostgreSQL, by asyncpg."""

from __future__ import annotations

from typing import Any, Final

import asyncpg
from asyncpg.exceptions import TargetServerAttributeNotMatched
from sqlalchemy import Insert, Table, TextClause, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from moorline_sidecar.errors import ConfigurationError
from moorline_sidecar.stores.sql_dialects import Dialect, Fault
from moorline_sidecar.stores.sql_postgresql_connecting import UNUSABLE, Connector

SCHEMES: Final = ("postgresql://", "postgres://")
OLDEST: Final = 120_000
"""PostgreSQL 12, as `server_version_num`."""

LOCK: Final = 7_236_811_402
"""Of the advisory lock, any number that nobody else uses."""

UNIQUE_VIOLATION: Final = "23505"
_AGAIN: Final = frozenset({"40001", "40P01", "55P03"})
"""Serialization failure, deadlock, a lock that was not had in time."""

_REFUSED_CLASSES: Final = ("22", "23", "54")
"""Data exception, integrity constraint violation, program limit exceeded."""

_NO_ROOM: Final = "53100"
_DECLINED_CLASSES: Final = ("0A", "25", "28", "3D", "3F", "42", "53")
"""Not supported, a read-only or failed transaction, no such user, database or schema, no rights or
no such table, out of resources."""

_REFUSED_USER: Final = (
    "AuthenticationFailed",
    "the server refuses the user name or the password of the connection URI",
)
_READ_ONLY: Final = "NotPrimary", "the server is read-only: a standby, or a failover is under way"
_REASONS: Final = {
    "28000": _REFUSED_USER,
    "28P01": _REFUSED_USER,
    "42501": (
        "AuthenticationFailed",
        "the user may not do what is needed; let it own its schema, or grant it",
    ),
    "3D000": ("Unreachable", "the database of the connection URI does not exist"),
    "25006": _READ_ONLY,
}
"""By SQLSTATE."""

_SAID: Final = {
    # Of a transaction that reads through a pooler.
    "during recovery": _READ_ONLY,
    "statement pooling mode": (
        "UnsupportedVersion",
        "the pooler takes no transactions: set its pool_mode to transaction, or to session",
    ),
    "unsupported startup parameter": (
        "UnsupportedVersion",
        "the pooler does not take a setting of the connection URI: see ignore_startup_parameters",
    ),
}
"""By a part of the text, where the SQLSTATE tells too little; the last two are PgBouncer's."""


class PostgreSQL(Dialect):
    """The options of the URI are those of libpq that asyncpg knows."""

    name = "PostgreSQL"
    has_snapshots = True
    begin = "BEGIN"
    lock_schema: tuple[str, ...] = (f"SELECT pg_advisory_xact_lock({LOCK})",)
    unlock_schema: tuple[str, ...] = ()
    version = text("SELECT 'PostgreSQL ' || current_setting('server_version')")
    now: TextClause | None = text(
        "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    )
    # The last is what uvloop says of a connection that is closed.
    driver_errors: tuple[type[Exception], ...] = (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        RuntimeError,
    )

    def engine(self, uri: str, *, is_slow: bool = False) -> AsyncEngine:
        if not uri.startswith(SCHEMES):
            raise ConfigurationError([UNUSABLE])
        return Connector(uri, is_slow=is_slow).engine

    def upsert(self, table: Table) -> Insert:
        statement = insert(table)
        return statement.on_conflict_do_update(
            index_elements=list(table.primary_key), set_={"value": statement.excluded.value}
        )

    def fault(self, error: BaseException) -> Fault:
        if isinstance(error, TargetServerAttributeNotMatched):
            return Fault.DECLINED
        code = _code(error)
        if code == UNIQUE_VIOLATION:
            return Fault.TAKEN
        if code in _AGAIN:
            return Fault.AGAIN
        if code.startswith(_REFUSED_CLASSES) or code == _NO_ROOM:
            return Fault.REFUSED
        return Fault.DECLINED if code.startswith(_DECLINED_CLASSES) else Fault.BROKEN

    def reason(self, error: BaseException) -> tuple[str, str] | None:
        if isinstance(error, TargetServerAttributeNotMatched):
            return _READ_ONLY
        if isinstance(error, ConnectionError) and "SSL" in str(error):
            return "TLSFailed", "the server speaks no TLS"
        found = _REASONS.get(_code(error))
        return found or next((told for said, told in _SAID.items() if said in str(error)), None)

    def beginning(self, driver_connection: Any, *, writes: bool) -> str | None:  # noqa: ANN401 asyncpg's
        begin: str | None = driver_connection.begin if writes else driver_connection.begin_read
        return begin

    async def send(self, driver_connection: Any, statement: str) -> None:  # noqa: ANN401 asyncpg's
        await driver_connection.execute(statement)

    def abort(self, driver_connection: Any) -> None:  # noqa: ANN401 asyncpg's
        driver_connection.terminate()

    async def flaw(self, connection: AsyncConnection) -> str | None:
        number = (await connection.exec_driver_sql("SHOW server_version_num")).scalar_one()
        return None if int(number) >= OLDEST else "it takes PostgreSQL 12 or newer"


def _code(error: BaseException) -> str:
    """The SQLSTATE; empty where there is none."""
    found = error.orig if isinstance(error, DBAPIError) else error
    return str(getattr(found, "sqlstate", None) or "")
