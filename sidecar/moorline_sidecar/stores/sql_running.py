"""Carrying out a call: on a connection of a pool, in time, with the drivers' errors translated.

A call that is given up is never cancelled: what a driver's connection is like afterwards, nobody
knows. Its connection is broken instead, which ends it, and is not used again. A transaction applies
by its commit alone, so that until that goes out all that fails was surely not applied.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Generic, TypeAlias, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from moorline_sidecar.errors import OutcomeUnknown, StoreUnavailable
from moorline_sidecar.stores.base import CALL_SECONDS
from moorline_sidecar.stores.connection import UriConnection
from moorline_sidecar.stores.given_up import Tasks
from moorline_sidecar.stores.sql_dialects import CONNECTIONS_MAX, Dialect, Fault
from moorline_sidecar.stores.sql_engine import Engines
from moorline_sidecar.stores.sql_errors import errors_of, fault_of, store_error

Result = TypeVar("Result")
Operation: TypeAlias = Callable[[AsyncConnection], Awaitable[Result]]

TRIES: Final = CONNECTIONS_MAX + 1
"""Of a transaction that stood in another one's way; and all connections of a pool go stale at
once."""

_REPEATED: Final = frozenset({Fault.AGAIN, Fault.BROKEN})


class Runner:
    """Runs calls of one store."""

    def __init__(self, dialect: Dialect, connection: UriConnection[Engines]) -> None:
        self._dialect = dialect
        self._connection = connection
        self._errors = errors_of(dialect)
        self._tasks = Tasks()

    async def read(self, operation: Operation[Result], *, seconds: float = CALL_SECONDS) -> Result:
        return await self._run(operation, writes=False, seconds=seconds)

    async def write(self, operation: Operation[Result], *, seconds: float = CALL_SECONDS) -> Result:
        """In one transaction, which is committed at its end."""
        return await self._run(operation, writes=True, seconds=seconds)

    async def close(self) -> None:
        """Ends what was given up, and then the connections."""
        await self._tasks.wait(CALL_SECONDS)
        await self._connection.close()

    async def _run(self, operation: Operation[Result], *, writes: bool, seconds: float) -> Result:
        """What `operation` returns, tried again if it was not applied and the URI has changed."""
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            engines: Engines | None = None
            try:
                async with self._connection.use() as engines:
                    engine = engines.calls if seconds <= CALL_SECONDS else engines.slow
                    return await self._try(engine, operation, deadline, writes=writes)
            except StoreUnavailable:
                if not await self._connection.refresh(engines) or _is_over(deadline):
                    raise

    async def _try(
        self, engine: AsyncEngine, operation: Operation[Result], deadline: float, *, writes: bool
    ) -> Result:
        for left in reversed(range(TRIES)):
            attempt = _Attempt(self._dialect, engine, operation, writes=writes)
            try:
                return await self._wait(attempt, deadline)
            except self._errors as error:
                if not (left and attempt.may_be_repeated(error)) or _is_over(deadline):
                    raise store_error(
                        self._dialect, error, was_committing=attempt.was_committing
                    ) from error
        raise AssertionError  # pragma: no cover - the last try returns or raises

    async def _wait(self, attempt: _Attempt[Result], deadline: float) -> Result:
        task = self._tasks.begin(attempt.run())
        left = deadline - asyncio.get_running_loop().time()
        try:
            done, _ = await asyncio.wait({task}, timeout=max(0.0, left))
        except asyncio.CancelledError:
            attempt.give_up()
            raise
        if done:
            return task.result()
        attempt.give_up()
        meaning = OutcomeUnknown if attempt.was_committing else StoreUnavailable
        raise meaning("there was no answer in time")


class _GivenUp(Exception):
    """Nobody waits any more, so nothing is to be applied."""


class _Attempt(Generic[Result]):
    """One try of an operation, in a task of its own."""

    def __init__(
        self, dialect: Dialect, engine: AsyncEngine, operation: Operation[Result], *, writes: bool
    ) -> None:
        self.was_committing = False
        self._dialect = dialect
        self._engine = engine
        self._operation = operation
        self._writes = writes
        self._connection: AsyncConnection | None = None
        self._has_begun = False
        self._is_given_up = False

    def may_be_repeated(self, error: Exception) -> bool:
        """Whether nothing was applied, and the next try may do better."""
        return (
            self._connection is not None
            and not self.was_committing
            and fault_of(self._dialect, error) in _REPEATED
        )

    def give_up(self) -> None:
        """Nothing is committed any more, unless it was under way."""
        self._is_given_up = True
        if self._connection is not None:
            self._break(self._connection)

    async def run(self) -> Result:
        connection = await self._engine.connect()
        self._connection = connection
        is_in_order = False
        try:
            result = await self._carry_out(connection)
            is_in_order = not self._is_given_up
        except errors_of(self._dialect) as error:
            is_in_order = await self._is_rolled_back(connection, error)
            raise
        finally:
            if not is_in_order:
                self._break(connection)
                await connection.invalidate()
            await connection.close()
        return result

    async def _carry_out(self, connection: AsyncConnection) -> Result:
        self._check()
        driver_connection = _driver_connection(connection)
        begin = self._dialect.beginning(driver_connection, writes=self._writes)
        if begin is None:
            return await self._operation(connection)
        self._has_begun = True
        await self._dialect.send(driver_connection, begin)
        result = await self._operation(connection)
        self._check()
        self.was_committing = self._writes
        await self._dialect.send(driver_connection, "COMMIT")
        return result

    def _check(self) -> None:
        if self._is_given_up:
            raise _GivenUp

    def _break(self, connection: AsyncConnection) -> None:
        with suppress(Exception):
            self._dialect.abort(_driver_connection(connection))

    async def _is_rolled_back(self, connection: AsyncConnection, error: Exception) -> bool:
        """Whether the server is where it was before, and the connection good for another call."""
        if fault_of(self._dialect, error) is Fault.BROKEN or self._is_given_up:
            return False
        if self._has_begun:
            try:
                await self._dialect.send(_driver_connection(connection), "ROLLBACK")
            except errors_of(self._dialect):
                return False
        return True


def _driver_connection(connection: AsyncConnection) -> object:
    sync = connection.sync_connection
    return None if sync is None else sync.connection.driver_connection


def _is_over(deadline: float) -> bool:
    return asyncio.get_running_loop().time() >= deadline
