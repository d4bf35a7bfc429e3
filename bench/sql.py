"""What a relational store reads and writes a second: `python -m bench.sql postgresql|mysql|sqlite`.

Beside it the raw driver, on the same server: a row by its key, read or written, of as many bytes as
the session has, by as many at once.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import msgspec
from moorline_sidecar.domain.session import Session
from moorline_sidecar.stores.base import Change, Outcome, SessionStore
from moorline_sidecar.stores.connection import FixedSource
from moorline_sidecar.stores.sql import sql_store
from moorline_sidecar.stores.sql_dialects import Dialect
from moorline_sidecar.stores.sql_mysql import MySQL
from moorline_sidecar.stores.sql_postgresql import PostgreSQL
from moorline_sidecar.stores.sql_sqlite import SQLite
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from e2e.app.databases import Database, MariaDBServer, PostgreSQLServer, running

SESSIONS: Final = 2_000
AT_ONCE: Final = 4
"""As many calls as a sidecar has under way at once."""

BATCH: Final = 64
ATTRIBUTES: Final = 10
BYTES: Final = 100

Call = Callable[[int], Awaitable[int]]
"""Carries out the nth call; how many sessions were in it."""

KINDS: Final[dict[str, tuple[Dialect, type[Database] | None]]] = {
    "postgresql": (PostgreSQL(), PostgreSQLServer),
    "mysql": (MySQL(), MariaDBServer),
    "sqlite": (SQLite(), None),
}


def a_session(number: int) -> Session:
    now = time.time_ns() // 1_000_000
    return Session(
        key=f"{number:043d}",
        version=1,
        created=now,
        accessed=now,
        last_accessed=now,
        max_idle_ms=1_800_000,
        expiry=now + 1_800_000,
        last_node="node1",
        last_saved=now,
        cookie_set=now,
        contexts={"/": {f"attribute{n}": "x" * BYTES for n in range(ATTRIBUTES)}},
    )


class Rate(msgspec.Struct, frozen=True):
    """`cpu_us` is what this process spent on each, whoever else was at work on the machine."""

    per_second: float
    cpu_us: float


async def rate(call: Call, seconds: float) -> Rate:
    numbers = itertools.count()
    done = 0
    until = time.monotonic() + seconds

    async def work() -> None:
        nonlocal done
        while time.monotonic() < until:
            # Before it is added to: others add to it, too, in the meantime.
            more = await call(next(numbers))
            done += more

    began, spent = time.monotonic(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work())
    elapsed, spent = time.monotonic() - began, time.process_time() - spent
    return Rate(done / elapsed, 1e6 * spent / done)


def show(title: str, what: str, found: Rate) -> None:
    print(f"{title:>20}: {found.per_second:8,.0f} {what}/s {found.cpu_us:8,.0f} us of CPU each")


class Sessions:
    """The sessions of a store as they were last written."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store
        self._sessions = [a_session(number) for number in range(SESSIONS)]
        self._free = asyncio.Queue[int]()
        for number in range(SESSIONS):
            self._free.put_nowait(number)

    async def fill(self) -> None:
        for first in range(0, SESSIONS, AT_ONCE):
            some = self._sessions[first : first + AT_ONCE]
            await asyncio.gather(*(self._store.insert(session) for session in some))

    def load(self, size: int) -> Call:
        async def call(n: int) -> int:
            keys = [self._sessions[(n * size + m) % SESSIONS].key for m in range(size)]
            return len(await self._store.load(keys))

        return call

    def write(self, size: int) -> Call:
        async def call(_: int) -> int:
            chosen = [self._free.get_nowait() for _ in range(size)]
            changes = [self._change(number) for number in chosen]
            outcomes = await self._store.write(changes)
            for number, change, outcome in zip(chosen, changes, outcomes, strict=True):
                if outcome is not Outcome.APPLIED:
                    raise RuntimeError(outcome)
                self._sessions[number] = change.after
                self._free.put_nowait(number)
            return size

        return call

    def _change(self, number: int) -> Change:
        before = self._sessions[number]
        content = {**before.contexts["/"], "attribute0": f"{before.version:0{BYTES}d}"}
        after = msgspec.structs.replace(
            before, version=before.version + 1, write_id=str(number), contexts={"/": content}
        )
        return Change(before=before, after=after)


async def raw_rates(engine: AsyncEngine, dialect: Dialect, seconds: float) -> tuple[Rate, Rate]:
    """Rows read and written a second, by the driver alone."""
    content = "x" * BYTES * ATTRIBUTES
    async with engine.connect() as connection:
        await connection.execute(
            text("CREATE TABLE raw (id VARCHAR(64) PRIMARY KEY, content VARCHAR(4000))")
        )
        insert = text("INSERT INTO raw VALUES (:id, :content)")
        rows = [{"id": f"{n:043d}", "content": content} for n in range(SESSIONS)]
        await connection.exec_driver_sql(dialect.begin)
        await connection.execute(insert, rows)
        await connection.exec_driver_sql("COMMIT")
    connections = [await engine.connect() for _ in range(AT_ONCE)]
    drivers = [(await each.get_raw_connection()).driver_connection for each in connections]
    found = (
        await rate(_raw(drivers, "SELECT content FROM raw WHERE id = {}", ()), seconds),
        await rate(_raw(drivers, "UPDATE raw SET content = {} WHERE id = {}", (content,)), seconds),
    )
    for each in connections:
        await each.close()
    return found


def _raw(drivers: list[Any], statement: str, first: tuple[str, ...]) -> Call:
    free = asyncio.Queue[Any]()
    for driver in drivers:
        free.put_nowait(driver)

    async def call(n: int) -> int:
        driver = await free.get()
        parameters = (*first, f"{n % SESSIONS:043d}")
        if hasattr(driver, "fetch"):
            marks = [f"${number + 1}" for number in range(len(parameters))]
            await driver.fetch(statement.format(*marks), *parameters)
        elif hasattr(driver, "query"):
            async with driver.cursor() as cursor:
                await cursor.execute(statement.format(*["%s"] * len(parameters)), parameters)
                await cursor.fetchall()
        else:
            marks = ["?"] * len(parameters)
            await driver.execute_fetchall(statement.format(*marks), parameters)
        free.put_nowait(driver)
        return 1

    return call


async def show_store(store: SessionStore, seconds: float) -> None:
    """Print what an empty store loads and writes, and close it."""
    await store.prepare()
    sessions = Sessions(store)
    await sessions.fill()
    for title, call in {
        "loads": sessions.load(1),
        f"loads by {BATCH}": sessions.load(BATCH),
        "writes": sessions.write(1),
        f"writes by {BATCH}": sessions.write(BATCH),
    }.items():
        show(title, "sessions", await rate(call, seconds))
    await store.close()


async def measure(dialect: Dialect, uri: str, seconds: float) -> None:
    """Print the rates."""
    await show_store(sql_store(dialect, FixedSource(uri), "sessions"), seconds)
    engine = dialect.engine(uri)
    reads, writes = await raw_rates(engine, dialect, seconds)
    show("raw reads", "rows", reads)
    show("raw writes", "rows", writes)
    await engine.dispose()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each rate")
    arguments = parser.parse_args()
    dialect, kind = KINDS[arguments.kind]
    with ExitStack() as stack:
        if kind is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            uri = str(Path(folder) / "sessions.db")
        else:
            uri = stack.enter_context(running(kind)).uri
        import uvloop  # noqa: PLC0415 as the sidecar does

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(measure(dialect, uri, arguments.seconds))


if __name__ == "__main__":
    main()
