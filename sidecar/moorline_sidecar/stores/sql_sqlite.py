"""SQLite, by aiosqlite: one file, for the processes of one node."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from functools import partial
from threading import Thread
from typing import Any, Final
from weakref import WeakKeyDictionary, WeakSet

import aiosqlite
from sqlalchemy import Insert, Table, TextClause, text
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from moorline_sidecar.stores.sql_dialects import Dialect, Fault, pool_of

BUSY_SECONDS: Final = 2.0
"""For the turn of a writer: there is one at a time."""

SLOW_BUSY_SECONDS: Final = 20.0
ROWS_AT_ONCE: Final = 64
"""Fetched by one turn of a connection's thread: aiosqlite's own default."""

OLDEST: Final = (3, 32, 0)
"""The first that takes more than 999 parameters in a statement."""

_PRAGMAS: Final = (
    # What is acknowledged is on the disk: WAL alone would only keep the file whole.
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
)
_WAL_PAUSE_SECONDS: Final = 0.01
_PRIMARY_CODE: Final = 0xFF
"""Of an extended result code."""

_AGAIN: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_REFUSED: Final = frozenset(
    {sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_FULL}
)
_DECLINED: Final = frozenset(
    {
        *(sqlite3.SQLITE_ERROR, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY),
        *(sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_AUTH),
    }
)
_TAKEN: Final = frozenset({sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE})


class SQLite(Dialect):
    """The URI is the path of the file."""

    name = "SQLite"
    has_snapshots = False
    begin = "BEGIN IMMEDIATE"
    lock_schema: tuple[str, ...] = ()
    unlock_schema: tuple[str, ...] = ()
    version = text("SELECT 'SQLite ' || sqlite_version()")
    now: TextClause | None = None
    driver_errors: tuple[type[Exception], ...] = (sqlite3.Error,)

    def __init__(self) -> None:
        self._threads: WeakKeyDictionary[AsyncEngine, WeakSet[Thread]] = WeakKeyDictionary()

    def engine(self, uri: str, *, is_slow: bool = False) -> AsyncEngine:
        busy_seconds = SLOW_BUSY_SECONDS if is_slow else BUSY_SECONDS
        threads = WeakSet[Thread]()

        def connect() -> aiosqlite.Connection:
            connection = aiosqlite.Connection(partial(_opened, uri, busy_seconds), ROWS_AT_ONCE)
            # A thread that waits for its turn keeps no process from its end.
            connection._thread.daemon = True  # noqa: SLF001 as SQLAlchemy does
            threads.add(connection._thread)  # noqa: SLF001
            return connection

        engine = create_async_engine(
            "sqlite+aiosqlite://",
            async_creator=connect,
            poolclass=AsyncAdaptedQueuePool,
            **pool_of(is_slow=is_slow),
        )
        self._threads[engine] = threads
        return engine

    async def close(self, engine: AsyncEngine) -> None:
        """Close what is open, and wait for connections that a call has given up.

        Their threads may be busy for a while, and what they then have to tell is told to this loop:
        were that closed, each would end with a traceback.
        """
        await engine.dispose()
        deadline = time.monotonic() + BUSY_SECONDS
        for thread in list(self._threads[engine]):
            await asyncio.to_thread(thread.join, max(0.0, deadline - time.monotonic()))

    def upsert(self, table: Table) -> Insert:
        statement = insert(table)
        return statement.on_conflict_do_update(
            index_elements=list(table.primary_key), set_={"value": statement.excluded.value}
        )

    def fault(self, error: BaseException) -> Fault:
        code = _code(error)
        if code in _TAKEN:
            return Fault.TAKEN
        match code & _PRIMARY_CODE:
            case sqlite3.SQLITE_TOOBIG:
                return Fault.TOO_LARGE
            case primary if primary in _AGAIN:
                return Fault.AGAIN
            case primary if primary in _REFUSED:
                return Fault.REFUSED
            case primary if primary in _DECLINED:
                return Fault.DECLINED
        return Fault.BROKEN

    def reason(self, error: BaseException) -> tuple[str, str] | None:
        match _code(error) & _PRIMARY_CODE:
            case sqlite3.SQLITE_CANTOPEN:
                return "Unreachable", "the file cannot be opened; its folder has to be there"
            case sqlite3.SQLITE_PERM | sqlite3.SQLITE_READONLY:
                return "AuthenticationFailed", "the file, or its folder, may not be written to"
            case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
                return "Unreachable", "the file is no SQLite database, or is damaged"
        return None

    async def send(self, driver_connection: Any, statement: str) -> None:  # noqa: ANN401 aiosqlite's
        await (await driver_connection.execute(statement)).close()

    def abort(self, driver_connection: Any) -> None:  # noqa: ANN401 aiosqlite's
        """Nothing to break: its thread ends what it does within `BUSY_SECONDS`."""

    async def flaw(self, connection: AsyncConnection) -> str | None:
        mode = (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar_one()
        if sqlite3.sqlite_version_info < OLDEST:
            return "it takes SQLite 3.32 or newer"
        if mode != "wal":
            return "the file system cannot hold the write-ahead log: it takes a local disk"
        return None


def _opened(path: str, busy_seconds: float) -> sqlite3.Connection:
    """A connection, made in the thread that it is used in."""
    connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None)
    try:
        _turn_on_wal(connection, time.monotonic() + busy_seconds)
        for pragma in _PRAGMAS:
            connection.execute(pragma)
    except BaseException:
        connection.close()
        raise
    return connection


def _turn_on_wal(connection: sqlite3.Connection, deadline: float) -> None:
    """Readers and the writer do not wait for each other from here on."""
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            # Of two that turn it on in a new file one is refused at once, whatever its timeout.
            if _code(error) & _PRIMARY_CODE not in _AGAIN or time.monotonic() > deadline:
                raise
            time.sleep(_WAL_PAUSE_SECONDS)
        else:
            return


def _code(error: BaseException) -> int:
    """SQLite's extended result code; 0 where there is none."""
    found = error.orig if isinstance(error, DBAPIError) else error
    return int(getattr(found, "sqlite_errorcode", 0))
