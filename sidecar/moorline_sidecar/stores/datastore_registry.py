"""The registry of processes: an entity each, of the kind `<kind>.workers`."""

from __future__ import annotations

from typing import Final

from google.cloud.datastore_v1.types import Mutation

from moorline_sidecar.stores import datastore_finding as finding
from moorline_sidecar.stores.datastore_records import BEAT, member_entity, member_in, name_of
from moorline_sidecar.stores.datastore_running import Attempt, Runner
from moorline_sidecar.stores.registry import MEMBERS_MAX, Member, Registry

STALE_MAX: Final = 500
"""Entries that are removed at once: as many as one request may."""


class DatastoreRegistry(Registry):
    """One entity a process."""

    def __init__(self, runner: Runner, kind: str) -> None:
        self._runner = runner
        self._kind = kind

    async def beat(self, member: Member) -> None:
        async def write(attempt: Attempt) -> None:
            key = attempt.key(self._kind, name_of(member.process))
            await attempt.commit([Mutation(upsert=member_entity(key, member))])

        await self._runner.run(write)

    async def members(self, since: int) -> list[Member]:
        query = finding.since(self._kind, BEAT, since, MEMBERS_MAX)

        async def find(attempt: Attempt) -> list[Member]:
            found = await finding.each_of(attempt, query, member_in)
            return [member for member in found if member is not None]

        return await self._runner.run(find)

    async def remove(self, process: str) -> None:
        async def delete(attempt: Attempt) -> None:
            await attempt.commit([Mutation(delete=attempt.key(self._kind, name_of(process)))])

        await self._runner.run(delete)

    async def remove_stale(self, before: int) -> None:
        query = finding.before(self._kind, BEAT, before, limit=STALE_MAX)

        async def delete(attempt: Attempt) -> None:
            keys = await finding.each_of(attempt, query, lambda entity: entity.key)
            if keys:
                await attempt.commit([Mutation(delete=key) for key in keys])

        await self._runner.run(delete)
