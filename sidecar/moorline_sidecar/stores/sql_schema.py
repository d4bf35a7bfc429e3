"""Making the tables and their indexes, and adding to those of an older version what they lack."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Column, Connection, Index, Table, inspect
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateColumn, CreateIndex, CreateTable

from moorline_sidecar.errors import ConfigurationError
from moorline_sidecar.stores.sql_dialects import Dialect
from moorline_sidecar.stores.sql_tables import Tables


async def make_schema(connection: AsyncConnection, dialect: Dialect, tables: Tables) -> list[str]:
    """The names of tables and indexes, which all exist now; within a transaction.

    Raises:
        ConfigurationError: a table of that name is none of sessions.
    """
    # Who may make nothing needs nothing, where all is there.
    if await connection.run_sync(_is_complete, tables):
        return names_of(tables)
    for statement in dialect.lock_schema:
        await connection.exec_driver_sql(statement)
    try:
        for table in tables.all:
            await connection.run_sync(_make, table)
    finally:
        for statement in dialect.unlock_schema:
            await connection.exec_driver_sql(statement)
    return names_of(tables)


def names_of(tables: Tables) -> list[str]:
    """Of tables and indexes, as plain text: SQLAlchemy's own kind of it goes into no JSON."""
    indexes = [str(index.name) for table in tables.all for index in table.indexes]
    return [*(str(table.name) for table in tables.all), *sorted(indexes)]


def _is_complete(connection: Connection, tables: Tables) -> bool:
    return all(
        inspect(connection).has_table(table.name)
        and not _missing_columns(connection, table)
        and not _missing_indexes(connection, table)
        for table in tables.all
    )


def _make(connection: Connection, table: Table) -> None:
    if not inspect(connection).has_table(table.name):
        connection.execute(CreateTable(table))
    for column in _missing_columns(connection, table):
        _add(connection, table, column)
    for index in _missing_indexes(connection, table):
        connection.execute(CreateIndex(index))


def _add(connection: Connection, table: Table, column: Column[object]) -> None:
    if not column.nullable:
        mistake = (
            f"the table {table.name} has no column {column.name}: it is none of sessions; "
            "choose another name as `table`, or name the column in `columns`"
        )
        raise ConfigurationError([mistake])
    described = CreateColumn(column).compile(dialect=connection.dialect)
    name = connection.dialect.identifier_preparer.format_table(table)
    connection.exec_driver_sql(f"ALTER TABLE {name} ADD COLUMN {described}")


def _missing_columns(connection: Connection, table: Table) -> list[Column[object]]:
    there = {column["name"].lower() for column in inspect(connection).get_columns(table.name)}
    return [column for column in table.columns if column.name.lower() not in there]


def _missing_indexes(connection: Connection, table: Table) -> list[Index]:
    there = {index["name"] for index in inspect(connection).get_indexes(table.name)}
    return [index for index in _sorted(table.indexes) if index.name not in there]


def _sorted(indexes: Iterable[Index]) -> list[Index]:
    return sorted(indexes, key=lambda index: str(index.name))
