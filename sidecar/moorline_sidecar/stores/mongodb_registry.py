"""The registry of processes in MongoDB: the collection `<collection>.workers`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

from bson.int64 import Int64
from pymongo.write_concern import WriteConcern

from moorline_sidecar.stores.mongodb_commands import Collection
from moorline_sidecar.stores.mongodb_documents import date, member_of
from moorline_sidecar.stores.registry import MEMBERS_MAX, Member, Registry

Result = TypeVar("Result")


class Run(Protocol):
    """How a store carries out an operation on its collection, with its errors translated."""

    async def __call__(
        self, operation: Callable[[Collection], Awaitable[Result]], *, writes: bool = False
    ) -> Result: ...


class MongoRegistry(Registry):
    """One document a process."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def beat(self, member: Member) -> None:
        fields = {
            "worker": member.worker,
            "pod": member.pod,
            "version": member.version,
            "since": date(member.since),
            "beat": date(member.beat),
            "sessions": Int64(member.sessions),
            "unsaved": Int64(member.unsaved),
        }

        async def write(sessions: Collection) -> None:
            await _workers(sessions).update_one(
                {"_id": member.process}, {"$set": fields}, upsert=True
            )

        await self._run(write, writes=True)

    async def members(self, since: int) -> list[Member]:
        async def find(sessions: Collection) -> list[Mapping[str, Any]]:
            found = _workers(sessions).find({"beat": {"$gte": date(since)}}, limit=MEMBERS_MAX)
            return [document async for document in found]

        return [member_of(document) for document in await self._run(find)]

    async def remove(self, process: str) -> None:
        async def delete(sessions: Collection) -> None:
            await _workers(sessions).delete_one({"_id": process})

        await self._run(delete, writes=True)

    async def remove_stale(self, before: int) -> None:
        async def delete(sessions: Collection) -> None:
            await _workers(sessions).delete_many({"beat": {"$lt": date(before)}})

        await self._run(delete, writes=True)


def _workers(sessions: Collection) -> Collection:
    # A beat that is lost with a primary is no loss: the next one comes in seconds.
    return sessions.database.get_collection(
        f"{sessions.name}.workers",
        codec_options=sessions.codec_options,
        write_concern=WriteConcern(w=1),
    )
