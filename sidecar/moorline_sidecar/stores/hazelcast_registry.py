"""The registry of processes in the map `<map>.workers`."""

from __future__ import annotations

from hazelcast import predicate
from hazelcast.core import HazelcastJsonValue

from moorline_sidecar.stores.hazelcast_running import Attempt, Map, Runner
from moorline_sidecar.stores.json_records import member_of, member_text
from moorline_sidecar.stores.registry import MEMBERS_MAX, Member, Registry


class HazelcastRegistry(Registry):
    """One entry a process."""

    def __init__(self, runner: Runner, name: str) -> None:
        self._runner = runner
        self._name = f"{name}.workers"

    async def beat(self, member: Member) -> None:
        value = HazelcastJsonValue(member_text(member))

        async def write(attempt: Attempt) -> None:
            workers = await self._workers(attempt)
            await attempt.change(lambda: workers.set(member.process, value))

        await self._runner.run(write)

    async def members(self, since: int) -> list[Member]:
        async def find(attempt: Attempt) -> list[Member]:
            workers = await self._workers(attempt)
            alive = predicate.greater_or_equal("beat", since)
            values = await workers.values(alive)
            return [member_of(value.to_string()) for value in values[:MEMBERS_MAX]]

        return await self._runner.run(find)

    async def remove(self, process: str) -> None:
        async def delete(attempt: Attempt) -> None:
            workers = await self._workers(attempt)
            await attempt.change(lambda: workers.delete(process))

        await self._runner.run(delete)

    async def remove_stale(self, before: int) -> None:
        async def delete(attempt: Attempt) -> None:
            workers = await self._workers(attempt)
            await attempt.change(lambda: workers.remove_all(predicate.less("beat", before)))

        await self._runner.run(delete)

    async def _workers(self, attempt: Attempt) -> Map:
        return await attempt.client.get_map(self._name)
