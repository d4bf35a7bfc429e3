"""What differs between the relational servers, as one port; each has a module of its own."""

from __future__ import annotations

import enum
from typing import Any, Final, Protocol

from sqlalchemy import Insert, Table, TextClause
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

CONNECT_SECONDS: Final = 2.0
"""For a server to accept and to let us in: below the 3 s that an answer may take."""

STATEMENT_SECONDS: Final = 2.4
"""For one statement of a call, by the driver's own time-out."""

SLOW_SECONDS: Final = 300.0
"""For one statement of a purge, or of making the schema: nobody waits for the answer."""

CONNECTIONS_MAX: Final = 5
"""Of one sidecar, and one more for what is slow: as many batches as are under way at once.
Thousands of sidecars add up, and a server has a process or a thread for each."""


def pool_of(*, is_slow: bool) -> dict[str, Any]:
    """The settings of an engine.

    Transactions are begun and committed in so many words: it has to be known when a commit went
    out, and a read needs none. A connection comes back to the pool in order, or not at all.
    """
    return {
        "isolation_level": "AUTOCOMMIT",
        "max_overflow": 0,
        "pool_reset_on_return": None,
        "pool_size": 1 if is_slow else CONNECTIONS_MAX,
        "pool_timeout": CONNECT_SECONDS,
        "skip_autocommit_rollback": True,
    }


class Fault(enum.Enum):
    """What a server or a driver means by an error."""

    TAKEN = enum.auto()
    """The key exists."""
    TOO_LARGE = enum.auto()
    """The server does not take that much."""
    REFUSED = enum.auto()
    """It does not take these values, or has no room: the statement was not applied."""
    AGAIN = enum.auto()
    """The transaction stood in the way of another one, and was rolled back: begin anew."""
    DECLINED = enum.auto()
    """The server said no to the call as a whole: no rights, read-only, no such table."""
    BROKEN = enum.auto()
    """The connection, or what is known of it, is of no use any more."""


class Dialect(Protocol):
    """One kind of server, by one driver."""

    name: str
    """As people say it."""
    has_snapshots: bool
    """Whether transactions have numbers, and it tells which are under way: see `sql_changes`."""
    begin: str
    """Begins a transaction that is going to write."""
    lock_schema: tuple[str, ...]
    """Lets one process at a time make the schema, until its transaction ends."""
    unlock_schema: tuple[str, ...]
    version: TextClause
    """Tells the server's product and version, as one text."""
    now: TextClause | None
    """Tells the server's time in milliseconds since 1970; None where it has none of its own."""
    driver_errors: tuple[type[Exception], ...]
    """What the driver raises that SQLAlchemy does not know as its own."""

    def engine(self, uri: str, *, is_slow: bool = False) -> AsyncEngine:
        """An engine that has not connected yet; with `is_slow` for what nobody waits for.

        Raises:
            ConfigurationError: the URI is of no use. The text never holds a piece of it.
        """

    async def close(self, engine: AsyncEngine) -> None:
        """Close what one of its engines has open."""
        await engine.dispose()

    def upsert(self, table: Table) -> Insert:
        """Writes a row, whether there is one of its key or not; `value` is what may differ."""

    def fault(self, error: BaseException) -> Fault:
        """What an error of the driver means."""

    def reason(self, error: BaseException) -> tuple[str, str] | None:
        """What the error says about reaching the server: a reason of BackendReady, and a sentence.

        None where it says nothing.
        """

    def beginning(self, driver_connection: Any, *, writes: bool) -> str | None:  # noqa: ANN401 each driver has its own
        """What begins the transaction of a call; None for a read that needs none."""
        del driver_connection
        return self.begin if writes else None

    async def send(self, driver_connection: Any, statement: str) -> None:  # noqa: ANN401 each driver has its own
        """Carry out a statement without parameters, in one message."""

    def abort(self, driver_connection: Any) -> None:  # noqa: ANN401 each driver has its own
        """Break the connection at once: whoever waits for it gets an error."""

    async def flaw(self, connection: AsyncConnection) -> str | None:
        """Why this server cannot hold the port's promises; None if it can."""
