"""The tables of sessions, of their attributes and of workers, in every dialect.

A session is one row, and each of its attributes another: a change writes what it changes, and
people can query both. A context is a row, too, with an empty name, which no attribute has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    and_,
    false,
    text,
    true,
)
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeEngine

from moorline_sidecar.domain.attributes import (
    CONTEXT_BYTES_MAX,
    NAME_BYTES_MAX,
    PRINCIPAL_BYTES_MAX,
)
from moorline_sidecar.errors import ConfigurationError

KEY_BYTES_MAX: Final = 128
NODE_BYTES_MAX: Final = 255
WRITE_ID_BYTES_MAX: Final = 255
ESCAPED: Final = 3
"""A character that is escaped takes so many."""

SESSION_COLUMNS: Final = (
    *("id", "valid", "version", "created", "accessed", "last_accessed", "expiry", "deadline"),
    *("max_idle", "last_node", "last_saved", "cookie_set", "principal", "recent", "write_id"),
    *("renew_of", "invalidated", "reason", "renewed_to", "grace_until"),
)
ATTRIBUTE_COLUMNS: Final = ("context", "name", "value")
COLUMNS: Final = (*SESSION_COLUMNS, *ATTRIBUTE_COLUMNS)


class _TextAsBytes(mysql.VARBINARY):
    """Sent as a text: bytes, aiomysql cannot send by PyMySQL 1.2 (aio-libs/aiomysql#1080)."""

    def bind_processor(self, dialect: Dialect) -> None:
        del dialect


class Exact(TypeDecorator[str]):
    """A text of any characters that equals nothing but itself, of so many bytes in UTF-8.

    MySQL compares texts without regard to spaces at their end, so there it is binary. PostgreSQL
    has no texts with NUL: elsewhere `%` and NUL are percent-encoded.
    """

    impl: TypeEngine[Any] | type[TypeEngine[Any]] = Text
    cache_ok: bool | None = True

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "mysql":
            return dialect.type_descriptor(_TextAsBytes(self.size))
        if dialect.name == "postgresql":
            # In the order of its bytes, whatever the locale of the database is.
            escaped = postgresql.VARCHAR(ESCAPED * self.size, collation="C")
            return dialect.type_descriptor(escaped)
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        if dialect.name == "mysql":
            return value
        if "%" in value or "\0" in value:
            return value.replace("%", "%25").replace("\0", "%00")
        return value

    def process_result_value(self, value: Any | None, dialect: Dialect) -> str | None:  # noqa: ANN401
        del dialect
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        if value is None or "%" not in value:
            return value
        return str(value).replace("%00", "\0").replace("%25", "%")


LONG_TEXT: Final = Text().with_variant(mysql.LONGTEXT(charset="utf8mb4"), "mysql")


class Tables(Struct, frozen=True):
    """What a store reads and writes; columns are known by their usual names."""

    metadata: MetaData
    sessions: Table
    attributes: Table
    workers: Table
    changes: Table | None = None

    @property
    def all(self) -> tuple[Table, ...]:
        changes = () if self.changes is None else (self.changes,)
        return (self.sessions, self.attributes, self.workers, *changes)


def tables_of(table: str, renamed: Mapping[str, str], *, has_changes: bool = False) -> Tables:
    """The tables whose names begin with `table`; `renamed` columns have other names.

    `has_changes`: with the table of changes, of a server that has PostgreSQL's functions.

    Raises:
        ConfigurationError: a column is renamed that there is not, or two have one name.
    """
    _check(renamed)
    metadata = MetaData()
    sessions = _sessions(table, renamed, metadata)
    return Tables(
        metadata=metadata,
        sessions=sessions,
        attributes=_attributes(table, renamed, metadata, sessions),
        workers=_workers(table, metadata),
        changes=_changes(table, metadata) if has_changes else None,
    )


def _check(renamed: Mapping[str, str]) -> None:
    mistakes = [
        f"spec.backend: columns: there is no column {name}; here are {', '.join(COLUMNS)}"
        for name in renamed
        if name not in COLUMNS
    ]
    for names in (SESSION_COLUMNS, ("id", *ATTRIBUTE_COLUMNS)):
        # PostgreSQL alone tells upper from lower case.
        shown = [renamed.get(name, name).lower() for name in names]
        mistakes += [
            f"spec.backend: columns: two columns would be named {name}"
            for name in sorted({name for name in shown if shown.count(name) > 1})
        ]
    if mistakes:
        raise ConfigurationError(mistakes)


def _sessions(table: str, renamed: Mapping[str, str], metadata: MetaData) -> Table:
    def column(name: str, kind: TypeEngine[Any], **options: Any) -> Column[Any]:  # noqa: ANN401
        return Column(renamed.get(name, name), kind, key=name, **options)

    sessions = Table(
        table,
        metadata,
        column("id", Exact(KEY_BYTES_MAX), primary_key=True),
        column("valid", Boolean(), nullable=False),
        column("version", BigInteger(), nullable=False),
        column("created", BigInteger(), nullable=False),
        column("accessed", BigInteger(), nullable=False),
        # From here on a tombstone may have none.
        column("last_accessed", BigInteger()),
        column("expiry", BigInteger()),
        column("deadline", BigInteger()),
        column("max_idle", BigInteger()),
        column("last_node", Exact(NODE_BYTES_MAX)),
        column("last_saved", BigInteger()),
        column("cookie_set", BigInteger()),
        column("principal", Exact(PRINCIPAL_BYTES_MAX)),
        column("recent", LONG_TEXT),
        column("write_id", Exact(WRITE_ID_BYTES_MAX), nullable=False),
        column("renew_of", Exact(KEY_BYTES_MAX)),
        column("invalidated", BigInteger()),
        column("reason", String(16)),
        column("renewed_to", Exact(KEY_BYTES_MAX)),
        column("grace_until", BigInteger()),
        # A touch leaves a dead row behind: it finds room on the page, which is soon vacuumed.
        postgresql_with={"fillfactor": 80, "autovacuum_vacuum_scale_factor": 0.02},
        **_MYSQL_OPTIONS,
    )
    c = sessions.c
    living, ended = c.valid == true(), c.valid == false()
    _index(sessions, "expiry", and_(living, c.expiry.is_not(None)), c.expiry)
    # A purge finds those that expire by their expiry.
    _index(sessions, "accessed", and_(living, c.expiry.is_(None)), c.accessed)
    _index(sessions, "invalidated", ended, c.invalidated)
    _index(sessions, "principal", and_(living, c.principal.is_not(None)), c.principal, c.id)
    _index(sessions, "renew_of", c.renew_of.is_not(None), c.renew_of)
    _index(sessions, "grace_until", c.grace_until.is_not(None), c.grace_until)
    return sessions


def _attributes(
    table: str, renamed: Mapping[str, str], metadata: MetaData, sessions: Table
) -> Table:
    def column(name: str, kind: TypeEngine[Any], *rest: ForeignKey, **options: Any) -> Column[Any]:  # noqa: ANN401
        return Column(renamed.get(name, name), kind, *rest, key=name, **options)

    owner = ForeignKey(sessions.c.id, ondelete="CASCADE")
    return Table(
        f"{table}_attributes",
        metadata,
        column("id", Exact(KEY_BYTES_MAX), owner, primary_key=True),
        column("context", Exact(CONTEXT_BYTES_MAX), primary_key=True),
        column("name", Exact(NAME_BYTES_MAX), primary_key=True),
        column("value", LONG_TEXT, nullable=False),
        sqlite_with_rowid=False,
        **_MYSQL_OPTIONS,
    )


def _workers(table: str, metadata: MetaData) -> Table:
    return Table(
        f"{table}_workers",
        metadata,
        Column("process", Exact(KEY_BYTES_MAX), primary_key=True),
        Column("worker", Exact(NODE_BYTES_MAX), nullable=False),
        Column("pod", Exact(NODE_BYTES_MAX), nullable=False),
        Column("version", Exact(NODE_BYTES_MAX), nullable=False),
        Column("since", BigInteger(), nullable=False),
        Column("beat", BigInteger(), nullable=False),
        Column("sessions", Integer(), nullable=False),
        Column("unsaved", Integer(), nullable=False),
        **_MYSQL_OPTIONS,
    )


def _changes(table: str, metadata: MetaData) -> Table:
    """What happened, in the order of `number` for each key; no version: it was deleted."""
    now = "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    changes = Table(
        f"{table}_changes",
        metadata,
        Column("number", BigInteger(), Identity(), primary_key=True),
        Column("txid", BigInteger(), nullable=False, server_default=text("txid_current()")),
        Column("at", BigInteger(), nullable=False, server_default=text(f"({now})")),
        Column("id", Exact(KEY_BYTES_MAX), nullable=False),
        Column("version", BigInteger()),
        Column("reason", String(16)),
        # As many rows go as come.
        postgresql_with={
            "autovacuum_vacuum_scale_factor": 0,
            "autovacuum_vacuum_threshold": 20_000,
        },
    )
    Index(f"{changes.name}_txid", changes.c.txid)
    return changes


_MYSQL_OPTIONS: Final[dict[str, Any]] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4"}


def _index(
    table: Table,
    name: str,
    only: Any,  # noqa: ANN401 a condition
    *columns: Column[Any],
) -> None:
    """An index of some of the rows; in MySQL, which has no such, of all."""
    Index(f"{table.name}_{name}", *columns, postgresql_where=only, sqlite_where=only)
