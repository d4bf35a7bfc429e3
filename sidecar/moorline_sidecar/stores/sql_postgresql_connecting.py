"""Connecting to PostgreSQL, and to a pooler before it.

A pooler that gives its clients a server for one transaction at a time (PgBouncer's mode
`transaction`) keeps nothing for them that outlives it: neither settings nor prepared statements.
Drivers name statements by counting, all from one. So what a process has prepared under a name may,
on the server that it gets next, be another process's statement, and is carried out in its place:
seen, with PgBouncer 1.18. Which mode a pooler is in a client cannot find out; that there is one it
can, for the server's process is not the one that the greeting has named. Then

* no statement has a name: each is parsed and carried out in one go (asyncpg sends no Sync between);
* what was to be settings of the connection is set in each transaction;
* reads are transactions, too, which a standby refuses: who once was let in by a primary may find
  another server behind the pooler later.
"""

from __future__ import annotations

import secrets
from functools import partial
from typing import Any, Final

import asyncpg
from asyncpg.exceptions import ProtocolViolationError
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from moorline_sidecar.stores.sql_dialects import (
    CONNECT_SECONDS,
    SLOW_SECONDS,
    STATEMENT_SECONDS,
    pool_of,
)
from moorline_sidecar.stores.sql_postgresql_tls import Tls, check_tls_files
from moorline_sidecar.stores.uri_source import UriMissing

UNUSABLE: Final = (
    "the connection URI cannot be used; expected is "
    "postgresql://user:password@host:port/database?options, with reserved characters of user "
    "and password percent-encoded"
)

KEPT_STATEMENTS: Final = 100
"""Of a connection to the server itself; the default of both SQLAlchemy and asyncpg."""

_PROCESS: Final = secrets.token_hex(8)

_WHO: Final = "SELECT pg_backend_pid()"

_SAFE_COMMIT: Final = (
    "SELECT set_config('synchronous_commit', 'on', {is_local}) "
    "WHERE current_setting('synchronous_commit') = 'off'"
)
"""Where the server's default would lose what it acknowledged, it does not hold for us."""


class Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """A connection, and what begins its transactions."""

    begin = "BEGIN"
    begin_read: str | None = None
    """None: a read is a statement of its own."""

    def _get_unique_id(self, prefix: str) -> str:
        # A pooler that was not noticed is to find no statement, and not another one.
        return f"{super()._get_unique_id(prefix)}{_PROCESS}"


class Connector:
    """Makes an engine's connections, as the last one was: to a pooler, or to the server."""

    def __init__(self, uri: str, *, is_slow: bool) -> None:
        self._is_pooled = False
        self._uri = uri
        self._tls = Tls(uri)
        self._seconds = SLOW_SECONDS if is_slow else STATEMENT_SECONDS
        self.engine: AsyncEngine = create_async_engine(
            "postgresql+asyncpg://", creator=self._adapted, **pool_of(is_slow=is_slow)
        )

    def _adapted(self) -> DBAPIConnection:
        # Others connect meanwhile, and may find out the same.
        expected = self._is_pooled
        try:
            return self._open(is_pooled=expected)
        except _Mistaken:
            self._is_pooled = not expected
            return self._open(is_pooled=not expected)

    def _open(self, *, is_pooled: bool) -> DBAPIConnection:
        """As SQLAlchemy's `async_creator` does, which takes no arguments."""
        dbapi: Any = self.engine.dialect.loaded_dbapi
        connect = partial(_connect, self._uri, self._seconds, self._tls, is_pooled=is_pooled)
        # Of those that are not kept `str` is the name: none.
        kept: dict[str, Any] = {
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": str,
        }
        connection: DBAPIConnection = dbapi.connect(
            async_creator_fn=connect, **(kept if is_pooled else {})
        )
        return connection


class _Mistaken(ConnectionError):
    """There is a pooler where none was expected, or none any more."""

    def __str__(self) -> str:
        return "now there is a pooler, and now there is none"


async def _connect(uri: str, seconds: float, tls: Tls, *, is_pooled: bool) -> Connection:
    try:
        connection: Connection = await asyncpg.connect(
            uri,
            timeout=CONNECT_SECONDS,
            command_timeout=seconds,
            # Of several hosts, the one that takes writes: what is read must be the newest.
            target_session_attrs="read-write",
            server_settings={"application_name": "moorline-sidecar"}
            | ({} if is_pooled else _limits(seconds)),
            connection_class=Connection,
            statement_cache_size=0 if is_pooled else KEPT_STATEMENTS,
            **tls.arguments(),
        )
    except ProtocolViolationError as error:
        if not is_pooled and any(name in str(error) for name in _limits(seconds)):
            # PgBouncer, which was not told to ignore them.
            raise _Mistaken from error
        raise
    except OSError:
        # An SSLError is one, and some of them are ValueErrors, too.
        check_tls_files(uri)
        raise
    except ValueError:
        # Their texts quote what they could not parse, which may be the password.
        raise UriMissing("SecretKeyMissing", UNUSABLE) from None
    try:
        await _make_ready(connection, seconds, is_pooled=is_pooled)
    except BaseException:
        connection.terminate()
        raise
    return connection


async def _make_ready(connection: Connection, seconds: float, *, is_pooled: bool) -> None:
    who = await connection.prepare(_WHO, name="")
    has_pooler = await who.fetchval() != connection.get_server_pid()
    if has_pooler is not is_pooled:
        raise _Mistaken
    if not is_pooled:
        await connection.execute(_SAFE_COMMIT.format(is_local="false"))
        return
    limits = [f"SET LOCAL {name} = {value}" for name, value in _limits(seconds).items()]
    connection.begin = "; ".join(("BEGIN", *limits, _SAFE_COMMIT.format(is_local="true")))
    connection.begin_read = "; ".join(("BEGIN READ WRITE", *limits))


def _limits(seconds: float) -> dict[str, str]:
    """What the server ends by itself, should nobody be there any more to do so."""
    milliseconds = str(int(1000 * seconds))
    return {
        "idle_in_transaction_session_timeout": milliseconds,
        "statement_timeout": milliseconds,
    }
