"""The registry of processes in the table `<table>_workers`."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from moorline_sidecar.stores.registry import MEMBERS_MAX, Member, Registry
from moorline_sidecar.stores.sql_rows import member_of
from moorline_sidecar.stores.sql_running import Runner
from moorline_sidecar.stores.sql_tables import Tables


class SqlRegistry(Registry):
    """One row a process."""

    def __init__(self, tables: Tables, runner: Runner) -> None:
        workers = tables.workers
        self._runner = runner
        self._insert = insert(workers)
        self._remove = delete(workers).where(workers.c.process == bindparam("b_process"))
        self._remove_stale = delete(workers).where(workers.c.beat < bindparam("b_before"))
        self._find = select(workers).where(workers.c.beat >= bindparam("since")).limit(MEMBERS_MAX)

    async def beat(self, member: Member) -> None:
        values = {
            "process": member.process,
            "worker": member.worker,
            "pod": member.pod,
            "version": member.version,
            "since": member.since,
            "beat": member.beat,
            "sessions": member.sessions,
            "unsaved": member.unsaved,
        }

        async def write(connection: AsyncConnection) -> None:
            # Nobody else writes the row of a process.
            await connection.execute(self._remove, {"b_process": member.process})
            await connection.execute(self._insert, values)

        await self._runner.write(write)

    async def members(self, since: int) -> list[Member]:
        async def find(connection: AsyncConnection) -> list[Member]:
            return [
                member_of(row) for row in await connection.execute(self._find, {"since": since})
            ]

        return await self._runner.read(find)

    async def remove(self, process: str) -> None:
        async def remove(connection: AsyncConnection) -> None:
            await connection.execute(self._remove, {"b_process": process})

        await self._runner.write(remove)

    async def remove_stale(self, before: int) -> None:
        async def remove(connection: AsyncConnection) -> None:
            await connection.execute(self._remove_stale, {"b_before": before})

        await self._runner.write(remove)
