"""Relational servers: one row a session, one for each of its attributes (docs/stores.md).

Reads are single statements, each of which sees one moment. Writes are transactions, in which rows
are locked, judged by the guards of the port and updated by their versions.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    and_,
    bindparam,
    delete,
    false,
    func,
    insert,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from moorline_sidecar.domain.session import Mark, Record, Session
from moorline_sidecar.errors import (
    ConfigurationError,
    StoreError,
    StoreRefused,
    StreamUnsupported,
    TooLarge,
)
from moorline_sidecar.stores.base import (
    BATCH,
    PURGE_SECONDS,
    Copy,
    Expired,
    Outcome,
    Purge,
    PurgeKind,
    SessionStore,
    Stream,
    Summary,
    Touch,
    Write,
)
from moorline_sidecar.stores.connection import Source, UriConnection
from moorline_sidecar.stores.diagnosis import READY, Diagnosis
from moorline_sidecar.stores.sql_changes import Changes, note_deleted
from moorline_sidecar.stores.sql_diagnosis import diagnose
from moorline_sidecar.stores.sql_dialects import Dialect
from moorline_sidecar.stores.sql_engine import Engines
from moorline_sidecar.stores.sql_registry import SqlRegistry
from moorline_sidecar.stores.sql_rows import (
    Values,
    context_values,
    copy_of,
    expired_of,
    mark_of,
    records_of,
    session_values,
    summary_of,
)
from moorline_sidecar.stores.sql_running import Runner
from moorline_sidecar.stores.sql_schema import make_schema
from moorline_sidecar.stores.sql_tables import Tables, tables_of
from moorline_sidecar.stores.sql_writes import CONTENT, Writer, padded

PREPARE_SECONDS: Final = 300.0
"""For the indexes of a large table that has none yet."""

_MARK: Final = (
    *("id", "version", "valid", "accessed", "last_accessed", "expiry", "max_idle", "last_node"),
    *("last_saved", "write_id"),
)
_SUMMARY: Final = ("id", "created", "accessed", "expiry", "last_node", "renew_of")


def sql_store(
    dialect: Dialect, source: Source, table: str, columns: Mapping[str, str] | None = None
) -> SqlStore:
    """The store of a table, some of whose columns may have other names; nothing is connected to.

    Raises:
        ConfigurationError: there is a URI already, and it is of no use; or a column's new name is.
    """
    connection = UriConnection(source, partial(Engines, dialect))
    return SqlStore(
        dialect, connection, tables_of(table, columns or {}, has_changes=dialect.has_snapshots)
    )


class SqlStore(SessionStore):
    """The sessions of one table."""

    def __init__(
        self, dialect: Dialect, connection: UriConnection[Engines], tables: Tables
    ) -> None:
        self._dialect = dialect
        self._tables = tables
        self._runner = Runner(dialect, connection)
        self._writer = Writer(tables, dialect)
        self._sessions = tables.sessions
        self.changes = None if tables.changes is None else Changes(tables.changes, self._runner)
        keys = self._sessions.c.id.in_(bindparam("keys", expanding=True))
        attributes = tables.attributes
        # One statement sees one moment: content and version belong together.
        self._load = (
            select(
                *self._sessions.c,
                *(attributes.c[name] for name in ("context", "name", "value")),
            )
            .select_from(self._sessions.outerjoin(attributes))
            .where(keys)
        )
        self._confirm = self._select(*_MARK).where(keys)

    async def load(self, keys: Sequence[str]) -> dict[str, Record]:
        return records_of(await self._rows(self._load, keys)) if keys else {}

    async def confirm(self, keys: Sequence[str]) -> dict[str, Mark]:
        if not keys:
            return {}
        return {row.id: mark_of(row) for row in await self._rows(self._confirm, keys)}

    async def insert(self, session: Session) -> None:
        content: list[Values] = []
        for context, attributes in session.contexts.items():
            content += context_values(session.key, context, attributes)

        async def insert_all(connection: AsyncConnection) -> None:
            await connection.execute(insert(self._sessions), session_values(session))
            if content:
                await connection.execute(insert(self._tables.attributes), content)

        await self._runner.write(insert_all)

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        if not writes:
            return []
        try:
            return await self._write(writes)
        except (StoreRefused, TooLarge) as error:
            if len(writes) == 1:
                too_large = isinstance(error, TooLarge)
                return [Outcome.TOO_LARGE if too_large else Outcome.REFUSED]
        # One of them was, and all were rolled back: none is to suffer for another.
        return [outcome for each in writes for outcome in await self.write([each])]

    async def touch(self, touches: Sequence[Touch]) -> None:
        if not touches:
            return
        try:
            await self._runner.write(lambda connection: self._writer.touch(connection, touches))
        except StoreRefused:
            # What the server refuses for a reason of its own is left alone.
            if len(touches) > 1:
                for each in touches:
                    await self.touch([each])

    async def settle(self, key: str, origin: str) -> bool:
        settle = update(self._sessions).where(self._copy(key, origin)).values(renew_of=None)
        return bool(await self._execute(settle))

    async def discard(self, key: str, origin: str, version: int) -> bool:
        copy = and_(self._copy(key, origin), self._sessions.c.version == version)

        async def remove(connection: AsyncConnection) -> bool:
            found = await connection.execute(delete(self._sessions).where(copy))
            if found.rowcount:
                await self._note_deleted(connection, [key])
            return bool(found.rowcount)

        return await self._runner.write(remove)

    async def expired(self, before: int, limit: int) -> list[Expired]:
        c = self._sessions.c
        found = (
            self._select("id", "accessed", "expiry", "last_node")
            .where(c.valid == true(), c.expiry < before, c.renew_of.is_(None))
            .order_by(c.expiry, c.id)
        )
        return [expired_of(row) for row in await self._find(found, limit)]

    async def copies(self, created_before: int, limit: int) -> list[Copy]:
        c = self._sessions.c
        found = self._select("id", "renew_of", "version").where(
            c.valid == true(), c.renew_of.is_not(None), c.last_saved < created_before
        )
        return [copy_of(row) for row in await self._find(found, limit)]

    async def drop_grace(self, before: int, limit: int) -> int:
        c = self._sessions.c
        over = and_(c.valid == false(), c.grace_until < before)
        attributes = self._tables.attributes

        async def drop(connection: AsyncConnection) -> int:
            keys = await self._lock(connection, over, limit)
            if not keys:
                return 0
            chosen = {"keys": padded(keys)}
            await connection.execute(delete(attributes).where(_among(attributes.c.id)), chosen)
            nothing = dict.fromkeys((*CONTENT, "grace_until"))
            await connection.execute(
                update(self._sessions).where(_among(c.id)).values(nothing), chosen
            )
            return len(keys)

        dropped = await self._runner.write(drop)
        if self.changes is not None:
            await self.changes.tidy()
        return dropped

    async def by_principal(self, principal: str, after: str | None, limit: int) -> list[Summary]:
        c = self._sessions.c
        found = self._select(*_SUMMARY).where(c.valid == true(), c.principal == principal)
        if after is not None:
            found = found.where(c.id > after)
        return [summary_of(row) for row in await self._find(found.order_by(c.id), limit)]

    async def purge(self, purge: Purge, limit: int) -> int:
        due = self._due(purge)

        async def delete_some(connection: AsyncConnection) -> int:
            keys = await self._lock(connection, due, limit)
            if keys:
                chosen = {"keys": padded(keys)}
                await connection.execute(
                    delete(self._sessions).where(_among(self._sessions.c.id)), chosen
                )
                if purge.kind is PurgeKind.VALID:
                    # Of tombstones their end was told, long ago.
                    await self._note_deleted(connection, keys)
            return len(keys)

        return await self._runner.write(delete_some, seconds=PURGE_SECONDS)

    async def purgeable(self, purge: Purge, limit: int) -> int:
        due = select(self._sessions.c.id).where(self._due(purge))
        counted = select(func.count()).select_from((due.limit(limit) if limit else due).subquery())
        return int(await self._scalar(counted, seconds=PURGE_SECONDS))

    def watch(self, after: object = None) -> AbstractAsyncContextManager[Stream]:
        if self.changes is None:
            raise StreamUnsupported(f"{self._dialect.name} does not tell of changes")
        return self.changes.watch(after)

    def registry(self) -> SqlRegistry:
        return SqlRegistry(self._tables, self._runner)

    async def count(self) -> int:
        return int(await self._scalar(select(func.count()).select_from(self._sessions)))

    async def now(self) -> int:
        if self._dialect.now is None:
            await self._scalar(select(1))
            return time.time_ns() // 1_000_000
        return int(await self._scalar(self._dialect.now))

    async def prepare(self) -> list[str]:
        return await self._runner.write(
            lambda connection: make_schema(connection, self._dialect, self._tables),
            seconds=PREPARE_SECONDS,
        )

    async def server(self) -> str:
        return str(await self._scalar(self._dialect.version))

    async def close(self) -> None:
        await self._runner.close()

    async def check(self) -> Diagnosis:
        """Reach the server, make the schema, and say how it went; no error is raised."""
        try:
            server = await self.server()
            flaw = await self._runner.read(self._dialect.flaw)
            if flaw is not None:
                return Diagnosis(reason="UnsupportedVersion", detail=flaw, server=server)
            names = tuple(await self.prepare())
        except (StoreError, ConfigurationError) as error:
            return diagnose(self._dialect, error)
        return Diagnosis(reason=READY, detail=f"{server} is in reach", server=server, indexes=names)

    async def _note_deleted(self, connection: AsyncConnection, keys: Sequence[str]) -> None:
        if self._tables.changes is not None:
            await note_deleted(connection, self._tables.changes, keys)

    async def _write(self, writes: Sequence[Write]) -> list[Outcome]:
        return await self._runner.write(lambda connection: self._writer.write(connection, writes))

    def _select(self, *names: str) -> Select[Any]:
        return select(*(self._sessions.c[name] for name in names))

    def _copy(self, key: str, origin: str) -> ColumnElement[bool]:
        c = self._sessions.c
        return and_(c.id == key, c.valid == true(), c.renew_of == origin)

    def _due(self, purge: Purge) -> ColumnElement[bool]:
        c = self._sessions.c
        if purge.kind is PurgeKind.INVALID:
            return and_(c.valid == false(), c.invalidated < purge.before)
        is_over = or_(c.expiry.is_(None), c.expiry <= purge.now)
        return and_(c.valid == true(), c.accessed < purge.before, is_over)

    async def _lock(
        self, connection: AsyncConnection, due: ColumnElement[bool], limit: int
    ) -> list[str]:
        """The keys of rows that nobody changes until the end of the transaction.

        What others are at is left for the next batch, unless there is nothing else.
        """
        some = select(self._sessions.c.id).where(due).limit(limit or BATCH)
        free = some.with_for_update(skip_locked=True)
        keys = [row.id for row in await connection.execute(free)]
        if not keys:
            keys = [row.id for row in await connection.execute(some.with_for_update())]
        return keys

    async def _rows(self, statement: Select[Any], keys: Sequence[str]) -> Sequence[Row[Any]]:
        async def find(connection: AsyncConnection) -> Sequence[Row[Any]]:
            rows = await connection.execute(statement, {"keys": padded(keys)})
            return list(rows)

        return await self._runner.read(find)

    async def _find(self, statement: Select[Any], limit: int) -> Sequence[Row[Any]]:
        async def find(connection: AsyncConnection) -> Sequence[Row[Any]]:
            return list(await connection.execute(statement.limit(limit or BATCH)))

        return await self._runner.read(find)

    async def _execute(self, statement: Any) -> int:  # noqa: ANN401 an update or a deletion
        """How many rows were changed."""

        async def execute(connection: AsyncConnection) -> int:
            return int((await connection.execute(statement)).rowcount)

        return await self._runner.write(execute)

    async def _scalar(self, statement: Any, *, seconds: float | None = None) -> Any:  # noqa: ANN401 whatever it selects
        async def ask(connection: AsyncConnection) -> object:
            return (await connection.execute(statement)).scalar_one()

        if seconds is None:
            return await self._runner.read(ask)
        return await self._runner.read(ask, seconds=seconds)


def _among(column: ColumnElement[Any]) -> ColumnElement[bool]:
    return column.in_(bindparam("keys", expanding=True))
