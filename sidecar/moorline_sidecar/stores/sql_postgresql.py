"""PostgreSQL, by asyncpg."""

from __future__ import annotations

from typing import Any, Final

import asyncpg
from asyncpg.exceptions import TargetServerAttributeNotMatched
from sqlalchemy import Insert, Table, TextClause, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from moorline_sidecar.errors import ConfigurationError
from moorline_sidecar.stores.sql_dialects import (
    CONNECT_SECONDS,
    SLOW_SECONDS,
    STATEMENT_SECONDS,
    Dialect,
    Fault,
    pool_of,
)
from moorline_sidecar.stores.sql_postgresql_tls import Tls, check_tls_files
from moorline_sidecar.stores.uri_source import UriMissing

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

_AUTHENTICATION: Final = frozenset({"28000", "28P01"})
_NO_RIGHTS: Final = "42501"
_NO_DATABASE: Final = "3D000"
_READ_ONLY: Final = "25006"


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
            raise ConfigurationError([_unusable()])
        seconds = SLOW_SECONDS if is_slow else STATEMENT_SECONDS
        tls = Tls(uri)

        async def connect() -> asyncpg.Connection[asyncpg.Record]:
            return await _connect(uri, seconds, tls)

        return create_async_engine(
            "postgresql+asyncpg://", async_creator=connect, **pool_of(is_slow=is_slow)
        )

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
        code = _code(error)
        if code in _AUTHENTICATION:
            sentence = "the server refuses the user name or the password of the connection URI"
            return "AuthenticationFailed", sentence
        if code == _NO_RIGHTS:
            sentence = "the user may not do what is needed; let it own its schema, or grant it"
            return "AuthenticationFailed", sentence
        if code == _NO_DATABASE:
            return "Unreachable", "the database of the connection URI does not exist"
        if code == _READ_ONLY or isinstance(error, TargetServerAttributeNotMatched):
            return "NotPrimary", "the server is read-only: a standby, or a failover is under way"
        if isinstance(error, ConnectionError) and "SSL" in str(error):
            return "TLSFailed", "the server speaks no TLS"
        return None

    async def send(self, driver_connection: Any, statement: str) -> None:  # noqa: ANN401 asyncpg's
        await driver_connection.execute(statement)

    def abort(self, driver_connection: Any) -> None:  # noqa: ANN401 asyncpg's
        driver_connection.terminate()

    async def flaw(self, connection: AsyncConnection) -> str | None:
        number = (await connection.exec_driver_sql("SHOW server_version_num")).scalar_one()
        return None if int(number) >= OLDEST else "it takes PostgreSQL 12 or newer"


async def _connect(uri: str, seconds: float, tls: Tls) -> asyncpg.Connection[asyncpg.Record]:
    try:
        connection = await asyncpg.connect(
            uri,
            timeout=CONNECT_SECONDS,
            command_timeout=seconds,
            # Of several hosts, the one that takes writes: what is read must be the newest.
            target_session_attrs="read-write",
            server_settings=_settings(seconds),
            **tls.arguments(),
        )
    except OSError:
        # An SSLError is one, and some of them are ValueErrors, too.
        check_tls_files(uri)
        raise
    except ValueError:
        # Their texts quote what they could not parse, which may be the password.
        raise UriMissing("SecretKeyMissing", _unusable()) from None
    # Where the server's default would lose what it acknowledged, it does not hold for us.
    await connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false) "
        "WHERE current_setting('synchronous_commit') = 'off'"
    )
    return connection


def _settings(seconds: float) -> dict[str, str]:
    """What the server ends by itself, should nobody be there any more to do so."""
    milliseconds = str(int(1000 * seconds))
    return {
        "application_name": "moorline-sidecar",
        "idle_in_transaction_session_timeout": milliseconds,
        "statement_timeout": milliseconds,
    }


def _code(error: BaseException) -> str:
    """The SQLSTATE; empty where there is none."""
    found = error.orig if isinstance(error, DBAPIError) else error
    return str(getattr(found, "sqlstate", None) or "")


def _unusable() -> str:
    return (
        "the connection URI cannot be used; expected is "
        "postgresql://user:password@host:port/database?options, with reserved characters of user "
        "and password percent-encoded"
    )
