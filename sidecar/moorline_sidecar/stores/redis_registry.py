"""The registry of processes: the hash `<prefix>workers`, and their beats in a sorted set."""

from __future__ import annotations

from typing import Final

import msgspec

from moorline_sidecar.stores.redis_running import Call, Runner
from moorline_sidecar.stores.redis_scripts import Scripts
from moorline_sidecar.stores.registry import MEMBERS_MAX, Member, Registry

_decode: Final = msgspec.json.Decoder(Member).decode


class RedisRegistry(Registry):
    """One entry a process."""

    def __init__(self, runner: Runner, scripts: Scripts) -> None:
        self._runner = runner
        self._scripts = scripts

    async def beat(self, member: Member) -> None:
        arguments = (member.process, str(member.beat), msgspec.json.encode(member))
        await self._runner.change(Call(self._scripts.beat, (), arguments))

    async def members(self, since: int) -> list[Member]:
        arguments = (str(since), str(MEMBERS_MAX))
        (rows,) = await self._runner.read([Call(self._scripts.members, (), arguments)])
        return [member for row in rows if (member := _member_of(row)) is not None]

    async def remove(self, process: str) -> None:
        await self._runner.change(Call(self._scripts.remove, (), (process,)))

    async def remove_stale(self, before: int) -> None:
        await self._runner.change(Call(self._scripts.remove_stale, (), (str(before),)))


def _member_of(row: bytes | None) -> Member | None:
    try:
        return None if row is None else _decode(row)
    except msgspec.DecodeError:
        # Of another version, or edited: it is for people only.
        return None
