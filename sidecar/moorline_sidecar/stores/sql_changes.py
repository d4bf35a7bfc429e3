"""Telling of changes, where the server numbers its transactions and shows who is under way.

Each transaction that changes, ends or deletes writes what it did into `<table>_changes`, with its
own number (`txid_current`). A reader keeps the snapshot that its last look saw: the next look is
for what is visible now and was not then, which are the numbers from the snapshot's upper end on,
and those that it named as under way (Skype's PgQ, "txid and snapshots"). So nothing is skipped that
commits late, nothing is told twice, and a transaction that stays open delays nobody.

Rows stay until every snapshot that is still of use has seen them; whoever comes later is told that
the history is lost.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Row,
    Select,
    Table,
    Text,
    and_,
    any_,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import OID
from sqlalchemy.ext.asyncio import AsyncConnection

from moorline_sidecar.domain.session import Reason
from moorline_sidecar.errors import HistoryLost, StoreError
from moorline_sidecar.stores.base import Heard, Seen, Stream
from moorline_sidecar.stores.sql_running import Runner

POLL_SECONDS: Final = 0.2
"""Between two looks: one look is an index that has nothing new, and a round trip."""

EMPTY_SECONDS: Final = 0.5

ROWS_MAX: Final = 5_000
"""In one look; more than that in the time between two is as good as lost."""

GAP_MS: Final = 30_000
"""Between two looks, by the server's clock; what is older may be gone."""

KEPT_SECONDS: Final = 90.0
"""Since everybody could see it; by the clock of whoever tidies up."""

TIDY_SECONDS: Final = 30.0
"""Between two rounds of each stream; a store that nobody watches is tidied by the scavenge."""

TIDY_SECONDS_MAX: Final = 1.0
TIDY_ROWS: Final = 10_000
"""For one round, and removed in one go."""

_BEYOND: Final = 1 << 62


class Place(Struct, frozen=True):
    """What a look saw; `history` changes with the server's life, the database and the table."""

    history: str
    xmax: int
    xip: tuple[int, ...]
    now: int


class Changes:
    """The table of changes of a store; `clock` is monotonic, in seconds."""

    def __init__(self, table: Table, runner: Runner) -> None:
        self.clock: Callable[[], float] = time.monotonic
        self._table = table
        self._runner = runner
        self._look = _look(table)
        self._finished: deque[tuple[float, int]] = deque()
        """When, and below which number all transactions were over then."""

    @asynccontextmanager
    async def watch(self, after: object) -> AsyncIterator[Stream]:
        """As `SessionStore.watch`."""
        place = after if isinstance(after, Place) else None
        if place is None:
            place, _ = await self.look(None)
        tidying = asyncio.create_task(self._keep_tidy())
        try:
            yield _ChangesStream(self, place)
        finally:
            tidying.cancel()
            await asyncio.wait([tidying])

    async def look(self, place: Place | None) -> tuple[Place, list[Seen]]:
        """Where a later look goes on, and what has happened since `place`.

        Raises:
            HistoryLost: not all of that is known.
        """
        asked = {
            "xmax": _BEYOND if place is None else place.xmax,
            "xip": [] if place is None else list(place.xip),
        }

        async def find(connection: AsyncConnection) -> list[Row[Any]]:
            return list(await connection.execute(self._look, asked))

        rows = await self._runner.read(find)
        now = _place_of(rows[0])
        if place is not None:
            _check(place, now, len(rows))
        return now, [_seen(row) for row in rows if row.id is not None]

    async def tidy(self) -> None:
        """Remove what nobody asks for any more, as far as this process can know yet."""
        until = self.clock() + TIDY_SECONDS_MAX
        while await self._tidy_some() == TIDY_ROWS and self.clock() < until:
            pass

    async def _tidy_some(self) -> int:
        """How many rows were removed."""
        now = self.clock()
        known = self._finished
        while len(known) > 1 and known[1][0] < now - KEPT_SECONDS:
            known.popleft()
        oldest = known[0][1] if known and known[0][0] < now - KEPT_SECONDS else 0
        c = self._table.c
        old = select(c.number).where(c.txid < oldest).limit(TIDY_ROWS)
        remove = delete(self._table).where(c.number.in_(old.with_for_update(skip_locked=True)))

        async def tidy_some(connection: AsyncConnection) -> tuple[int, int]:
            removed = (await connection.execute(remove)).rowcount if oldest else 0
            finished = select(func.txid_snapshot_xmin(func.txid_current_snapshot()))
            return removed, (await connection.execute(finished)).scalar_one()

        removed, finished = await self._runner.write(tidy_some)
        self._finished.append((now, finished))
        return removed

    async def _keep_tidy(self) -> None:
        while True:
            await asyncio.sleep(TIDY_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 jitter
            with suppress(StoreError):
                await self.tidy()


class _ChangesStream(Stream):
    def __init__(self, changes: Changes, place: Place) -> None:
        self._changes = changes
        self._place = place
        self._look_at = 0.0

    async def receive(self, asked_at: int) -> Heard:
        loop = asyncio.get_running_loop()
        until = loop.time() + EMPTY_SECONDS
        while True:
            await asyncio.sleep(max(0.0, self._look_at - loop.time()))
            self._look_at = loop.time() + POLL_SECONDS
            self._place, seen = await self._changes.look(self._place)
            if seen or loop.time() + POLL_SECONDS > until:
                # A look begins after `asked_at`, and sees all that was acknowledged before it.
                return Heard(seen=seen, token=self._place, complete_until=asked_at)


async def note_changes(
    connection: AsyncConnection, table: Table, changes: Iterable[tuple[str, int, Reason | None]]
) -> None:
    """Key and new version of each session that this transaction changes, or with a reason ends."""
    rows = [
        {"id": key, "version": version, "reason": None if reason is None else reason.value}
        for key, version, reason in changes
    ]
    if rows:
        await connection.execute(insert(table), rows)


async def note_deleted(connection: AsyncConnection, table: Table, keys: Iterable[str]) -> None:
    """The keys of sessions that this transaction deletes."""
    rows = [{"id": key, "version": None, "reason": None} for key in keys]
    if rows:
        await connection.execute(insert(table), rows)


def _look(table: Table) -> Select[Any]:
    """One statement, which sees one snapshot, and tells which: a row at least."""
    c = table.c
    quoted = '"' + table.name.replace('"', '""') + '"'
    history = func.concat_ws(
        "/",
        literal_column("extract(epoch FROM pg_postmaster_start_time())"),
        func.current_database(),
        cast(func.to_regclass(literal(quoted, Text())), OID),
    )
    place = select(
        cast(func.txid_current_snapshot(), Text).label("snapshot"),
        history.label("history"),
        literal_column("floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint").label("now"),
    ).subquery()
    under_way = any_(bindparam("xip", type_=ARRAY(BigInteger)))
    # What is visible is below the upper end. To say so has a planner without statistics expect few
    # rows, and OFFSET keeps it from walking along the numbers, in whose order they are wanted.
    end = func.txid_snapshot_xmax(func.txid_current_snapshot())
    since = and_(c.txid >= bindparam("xmax", type_=BigInteger), c.txid < end)
    found = (
        select(c.number, c.id, c.version, c.reason, c.at)
        .where(or_(since, c.txid == under_way))
        .offset(literal_column("0"))
        .subquery()
    )
    # Of one key, its row was locked when the number was drawn.
    told = select(found).order_by(found.c.number).limit(ROWS_MAX + 1).subquery()
    return (
        select(place, told.c.id, told.c.version, told.c.reason, told.c.at)
        .select_from(place.outerjoin(told, true()))
        .order_by(told.c.number)
    )


def _place_of(row: Row[Any]) -> Place:
    _, xmax, xip = row.snapshot.split(":")
    under_way = tuple(int(number) for number in xip.split(",") if number)
    return Place(history=row.history, xmax=int(xmax), xip=under_way, now=row.now)


def _check(before: Place, now: Place, rows: int) -> None:
    if before.history != now.history or now.xmax < before.xmax:
        raise HistoryLost("the server was started anew, or it is another one")
    if now.now - before.now > GAP_MS:
        raise HistoryLost("the last look was too long ago")
    if rows > ROWS_MAX:
        raise HistoryLost("too much has happened since the last look")


def _seen(row: Row[Any]) -> Seen:
    if row.version is None:
        return Seen(key=row.id, version=None, at=row.at)
    reason = None if row.reason is None else Reason(row.reason)
    return Seen(key=row.id, version=row.version, is_valid=reason is None, reason=reason, at=row.at)
