"""The registry of processes in the cache `<cache>.workers`."""

from __future__ import annotations

from moorline_sidecar.stores import infinispan_wire as wire
from moorline_sidecar.stores.infinispan_finding import Search, rows
from moorline_sidecar.stores.infinispan_records import WORKER, key_of, member_in, member_value
from moorline_sidecar.stores.infinispan_running import Attempt, Runner
from moorline_sidecar.stores.registry import MEMBERS_MAX, Member, Registry


class InfinispanRegistry(Registry):
    """One entry a process."""

    def __init__(self, runner: Runner, cache: str) -> None:
        self._runner = runner
        self._cache = cache

    async def beat(self, member: Member) -> None:
        request = wire.put(self._cache, key_of(member.process), member_value(member))
        await self._runner.run(lambda attempt: attempt.ask_one(request))

    async def members(self, since: int) -> list[Member]:
        async def find(attempt: Attempt) -> list[Member]:
            found = await rows(attempt, self._cache, _search("json", "beat >= :time", since))
            return [member_in(json) for (json,) in found]

        return await self._runner.run(find)

    async def remove(self, process: str) -> None:
        request = wire.remove(self._cache, key_of(process))
        await self._runner.run(lambda attempt: attempt.ask_one(request))

    async def remove_stale(self, before: int) -> None:
        async def delete(attempt: Attempt) -> None:
            found = await rows(attempt, self._cache, _search("process", "beat < :time", before))
            names = [name for (name,) in found if isinstance(name, str)]
            entries = await attempt.ask([wire.get(self._cache, key_of(name)) for name in names])
            # Who was late and beats again in this moment stays.
            await attempt.ask(
                [
                    wire.remove_if_same(self._cache, key_of(name), entry.version)
                    for name, entry in zip(names, entries, strict=True)
                    if entry.is_done
                ]
            )

        await self._runner.run(delete)


def _search(field: str, where: str, time: int) -> Search:
    return Search(
        fields=(field,), where=where, parameters={"time": time}, limit=MEMBERS_MAX, type=WORKER
    )
