"""MySQL and MariaDB, by aiomysql."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any, Final

import aiomysql
from pymysql.constants import CLIENT
from pymysql.err import Error, OperationalError
from sqlalchemy import Insert, Table, TextClause, text
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
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
from moorline_sidecar.stores.tls_files import read_for

SCHEMES: Final = ("mysql://", "mariadb://")
PORT: Final = 3306
OPTIONS: Final = ("ssl-mode", "ssl-ca", "ssl-cert", "ssl-key")
MODES: Final = ("DISABLED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")
OLDEST_MYSQL: Final = (8, 0)
OLDEST_MARIADB: Final = (10, 6)
"""The first that pass over locked rows."""

# The last server error is that of MariaDB for a row that changed after the snapshot.
_AGAIN: Final = frozenset({1205, 1213, 3572, 1020})
_REFUSED: Final = frozenset({1021, 1048, 1114, 1264, 1366, 1406, 1452, 3819, 4025})
_DECLINED: Final = frozenset(
    {1040, 1044, 1045, 1049, 1142, 1146, 1203, 1227, 1290, 1698, 1792, 1836, 1969, 3024}
)
_TAKEN: Final = 1062
_TOO_LARGE: Final = 1153
_AUTHENTICATION: Final = frozenset({1045, 1698, 2059})
_NO_RIGHTS: Final = frozenset({1044, 1142, 1227})
_NO_DATABASE: Final = 1049
_READ_ONLY: Final = frozenset({1290, 1792, 1836})
_NO_TLS: Final = 2026

GOODBYE_SECONDS: Final = 0.2
"""How long a connection that is closed may take for it, one after the other."""


class MySQL(Dialect):
    """The options of the URI are those of MySQL's own clients."""

    name = "MySQL"
    has_snapshots = False
    begin = "START TRANSACTION"
    # Who has looked at a table keeps others from changing it until the transaction ends: who waited
    # for this lock meanwhile was MySQL's deadlock 3058. What makes tables commits by itself anyway.
    lock_schema: tuple[str, ...] = ("COMMIT", "SELECT GET_LOCK('moorline_schema', 30)")
    unlock_schema: tuple[str, ...] = ("SELECT RELEASE_LOCK('moorline_schema')",)
    version = text(
        "SELECT CONCAT(IF(INSTR(VERSION(), 'MariaDB'), 'MariaDB ', 'MySQL '), VERSION())"
    )
    now: TextClause | None = text("SELECT CAST(FLOOR(UNIX_TIMESTAMP(NOW(3)) * 1000) AS UNSIGNED)")
    # The last is what uvloop says of a connection that is closed.
    driver_errors: tuple[type[Exception], ...] = (Error, RuntimeError)

    def engine(self, uri: str, *, is_slow: bool = False) -> AsyncEngine:
        arguments = _arguments(uri)
        seconds = SLOW_SECONDS if is_slow else STATEMENT_SECONDS

        async def connect() -> aiomysql.Connection:
            return await _connect(arguments, seconds)

        return create_async_engine(
            "mysql+aiomysql://", async_creator=connect, **pool_of(is_slow=is_slow)
        )

    def upsert(self, table: Table) -> Insert:
        statement = insert(table)
        return statement.on_duplicate_key_update(value=statement.inserted.value)

    def fault(self, error: BaseException) -> Fault:
        code = _code(error)
        if code == _TAKEN:
            return Fault.TAKEN
        if code == _TOO_LARGE:
            return Fault.TOO_LARGE
        if code in _AGAIN:
            return Fault.AGAIN
        if code in _REFUSED:
            return Fault.REFUSED
        return Fault.DECLINED if code in _DECLINED else Fault.BROKEN

    def reason(self, error: BaseException) -> tuple[str, str] | None:
        code = _code(error)
        if code in _AUTHENTICATION:
            sentence = "the server refuses the user name or the password of the connection URI"
            return "AuthenticationFailed", sentence
        if code in _NO_RIGHTS:
            sentence = "the user may not do what is needed; grant it all on its database"
            return "AuthenticationFailed", sentence
        if code == _NO_DATABASE:
            return "Unreachable", "the database of the connection URI does not exist"
        if code in _READ_ONLY:
            return "NotPrimary", "the server is read-only: a replica, or a failover is under way"
        if code == _NO_TLS:
            return "TLSFailed", "the server speaks no TLS"
        return None

    async def send(self, driver_connection: Any, statement: str) -> None:  # noqa: ANN401 aiomysql's
        await driver_connection.query(statement)

    def abort(self, driver_connection: Any) -> None:  # noqa: ANN401 aiomysql's
        writer = driver_connection._writer  # noqa: SLF001 its own `close` waits for what it has yet to send
        if writer is not None:
            writer.transport.abort()

    async def flaw(self, connection: AsyncConnection) -> str | None:
        version = str((await connection.exec_driver_sql("SELECT VERSION()")).scalar_one())
        oldest = OLDEST_MARIADB if "MariaDB" in version else OLDEST_MYSQL
        major, minor = version.split(".")[:2]
        if (int(major), int(minor)) >= oldest:
            return None
        return "it takes MySQL 8.0 or newer, or MariaDB 10.6 or newer"


class _Connection(aiomysql.Connection):  # type: ignore[misc] # it ships no types
    """One that insists on TLS where it was asked for, and closes whatever has happened to it."""

    async def _request_authentication(self) -> None:
        if self._ssl_context and not self.server_capabilities & CLIENT.SSL:
            raise OperationalError(_NO_TLS, "the server speaks no TLS")
        try:
            await super()._request_authentication()
        except BaseException:
            # The driver would close it, and forget it before it is closed.
            if self._writer is not None:
                self._writer.transport.abort()
            raise

    async def ensure_closed(self) -> None:
        """Close it, with a word to the server if that is there still."""
        writer = self._writer
        try:
            await super().ensure_closed()
        except RuntimeError:
            # What uvloop says of a connection that is closed; the pool would log it as an error.
            self.close()
        if writer is None:
            return
        try:
            # With TLS it waits for the server's last word, and uvloop's loop cannot end until then.
            async with asyncio.timeout(GOODBYE_SECONDS):
                await writer.wait_closed()
        except (OSError, TimeoutError):
            writer.transport.abort()


async def _connect(arguments: Mapping[str, Any], seconds: float) -> aiomysql.Connection:
    connection = _Connection(
        **arguments,
        autocommit=True,
        charset="utf8mb4",
        client_flag=CLIENT.FOUND_ROWS,
        init_command=_settings(seconds),
        program_name="moorline-sidecar",
    )
    try:
        # The driver's own time-out is for the first step alone.
        async with asyncio.timeout(CONNECT_SECONDS):
            await connection._connect()  # noqa: SLF001 what `aiomysql.connect` does
            async with connection.cursor() as cursor:
                # Rows are locked by name; of a range, others need not wait.
                await cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    except BaseException:
        connection.close()
        raise
    return connection


def _settings(seconds: float) -> str:
    """What the server ends by itself, should nobody be there any more to do so.

    The driver has no time-outs of its own. What stands in a comment is for one of the two servers.
    """
    return (
        "SET SESSION time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', "
        f"innodb_lock_wait_timeout = {max(1, int(seconds))}"
        f" /*M!100300 , idle_transaction_timeout = {max(1, int(seconds))}"
        f" , max_statement_time = {seconds} */"
        f" /*!80000 , max_execution_time = {int(1000 * seconds)} */"
    )


def _arguments(uri: str) -> dict[str, Any]:
    """What the driver needs to connect.

    Raises:
        ConfigurationError: the URI is of no use; the text holds no piece of it.
        UriMissing: a file that it names cannot be used.
    """
    if not uri.startswith(SCHEMES):
        raise ConfigurationError([_unusable("it is no MySQL URI")])
    try:
        url = make_url(uri)
    except (ArgumentError, ValueError):
        # Their texts quote what they could not parse, which may be the password.
        raise ConfigurationError([_unusable("it is no MySQL URI")]) from None
    if not url.host or not url.database:
        raise ConfigurationError([_unusable("it names no host, or no database")])
    return {
        "host": url.host,
        "port": url.port or PORT,
        "user": url.username or "",
        "password": url.password or "",
        "db": url.database,
        "ssl": _tls(url),
    }


def _tls(url: URL) -> ssl.SSLContext | None:
    options = {name: str(value) for name, value in url.query.items()}
    if any(name not in OPTIONS for name in options):
        raise ConfigurationError([_unusable(f"its options may be {', '.join(OPTIONS)}")])
    mode = options.get("ssl-mode", "VERIFY_CA" if "ssl-ca" in options else "DISABLED").upper()
    if mode not in MODES:
        raise ConfigurationError([_unusable(f"its ssl-mode may be {', '.join(MODES)}")])
    if mode == "DISABLED":
        return None
    with read_for("ssl-ca"):
        context = ssl.create_default_context(cafile=options.get("ssl-ca"))
    if "ssl-cert" in options:
        with read_for("ssl-cert", "ssl-key"):
            # Without a password it would ask for one on the terminal.
            context.load_cert_chain(options["ssl-cert"], options.get("ssl-key"), "")
    # Python 3.13 wants extensions that the certificates do not have that MySQL makes by itself.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.check_hostname = mode == "VERIFY_IDENTITY"
    if mode == "REQUIRED":
        context.verify_mode = ssl.CERT_NONE
    return context


def _code(error: BaseException) -> int:
    """The number of the server's or the client's error; 0 where there is none."""
    found = error.orig if isinstance(error, DBAPIError) else error
    arguments = found.args if isinstance(found, Error) else ()
    return arguments[0] if arguments and isinstance(arguments[0], int) else 0


def _unusable(why: str) -> str:
    return (
        f"the connection URI cannot be used: {why}; expected is "
        "mysql://user:password@host:port/database?options, with reserved characters of user and "
        "password percent-encoded"
    )
