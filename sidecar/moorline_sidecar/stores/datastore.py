"""Google Cloud Datastore: one entity for each session (docs/stores.md).

Also Firestore in Datastore mode, which is the same API. Each change is conditional on the version
that Datastore itself counts for the entity; queries need no composite index.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import aclosing
from functools import partial
from typing import Final

from moorline_sidecar.domain.session import Mark, Record, Session
from moorline_sidecar.errors import StoreError
from moorline_sidecar.stores import datastore_finding as finding
from moorline_sidecar.stores import decisions, transitions
from moorline_sidecar.stores.base import (
    BATCH,
    CALL_SECONDS,
    PURGE_SECONDS,
    Copy,
    Expired,
    Outcome,
    Purge,
    SessionStore,
    Summary,
    Touch,
    Write,
)
from moorline_sidecar.stores.connection import Source, UriConnection
from moorline_sidecar.stores.datastore_client import Link
from moorline_sidecar.stores.datastore_diagnosis import diagnose
from moorline_sidecar.stores.datastore_records import (
    COPIED,
    EXPIRY,
    GRACE_UNTIL,
    INDEXED,
    copy_in,
    expired_in,
    key_of,
    name_of,
    record_in,
)
from moorline_sidecar.stores.datastore_registry import DatastoreRegistry
from moorline_sidecar.stores.datastore_running import Attempt, Runner
from moorline_sidecar.stores.datastore_writes import Sessions
from moorline_sidecar.stores.decisions import CHUNK, Counting, Decide
from moorline_sidecar.stores.diagnosis import READY, Diagnosis

_CLOCK: Final = "clock"
"""The name of a worker that there is none of: looking for it tells the time."""


def datastore_store(source: Source, project: str, kind: str) -> DatastoreStore:
    """The store of a kind; nothing is connected to. `project` is empty for that of the credentials.

    Raises:
        ConfigurationError: there are credentials already, and they are of no use.
    """
    return DatastoreStore(UriConnection(source, partial(Link, project)), kind)


class DatastoreStore(SessionStore):
    """The sessions of one kind."""

    def __init__(self, connection: UriConnection[Link], kind: str) -> None:
        self._kind = kind
        self._workers = f"{kind}.workers"
        self._runner = Runner(connection)

    async def load(self, keys: Sequence[str]) -> dict[str, Record]:
        if not keys:
            return {}

        async def load(attempt: Attempt) -> dict[str, Record]:
            found = await self._sessions(attempt).found(keys)
            records = ((key, record_in(result.entity)) for key, result in found.items())
            return {key: record for key, record in records if record is not None}

        return await self._runner.run(load)

    async def confirm(self, keys: Sequence[str]) -> dict[str, Mark]:
        records = await self.load(keys)
        return {key: transitions.mark_of(record) for key, record in records.items()}

    async def insert(self, session: Session) -> None:
        await self._runner.run(lambda attempt: self._sessions(attempt).insert(session))

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        if not writes:
            return []
        return await self._runner.run(lambda attempt: self._sessions(attempt).write(writes))

    async def touch(self, touches: Sequence[Touch]) -> None:
        keys = list(dict.fromkeys(touch.key for touch in touches))
        await self._replace_all(keys, decisions.touch(touches))

    async def settle(self, key: str, origin: str) -> bool:
        return await self._replace_all([key], decisions.settle(origin)) == 1

    async def discard(self, key: str, origin: str, version: int) -> bool:
        return await self._replace_all([key], decisions.discard(origin, version)) == 1

    async def expired(self, before: int, limit: int) -> list[Expired]:
        query = finding.before(self._kind, EXPIRY, before, limit=limit or BATCH)
        return await self._runner.run(lambda at: finding.each_of(at, query, expired_in))

    async def copies(self, created_before: int, limit: int) -> list[Copy]:
        query = finding.before(self._kind, COPIED, created_before, limit=limit or BATCH)
        return await self._runner.run(lambda at: finding.each_of(at, query, copy_in))

    async def drop_grace(self, before: int, limit: int) -> int:
        query = finding.before(self._kind, GRACE_UNTIL, before, limit=limit or BATCH)

        keys = await self._runner.run(lambda at: finding.each_of(at, query, key_of))
        dropped = 0
        for first in range(0, len(keys), CHUNK):
            some = keys[first : first + CHUNK]
            dropped += await self._replace_all(some, decisions.drop_grace(before))
        return dropped

    async def by_principal(self, principal: str, after: str | None, limit: int) -> list[Summary]:
        async def find(attempt: Attempt) -> list[Summary]:
            above = None if after is None else attempt.key(self._kind, name_of(after))
            query = finding.of_principal(self._kind, principal, above, limit or BATCH)
            records = await finding.each_of(attempt, query, record_in)
            return [transitions.summary_of(each) for each in records if isinstance(each, Session)]

        return await self._runner.run(find)

    async def purge(self, purge: Purge, limit: int) -> int:
        async def delete(keys: Sequence[str]) -> int:
            return await self._replace_all(keys, decisions.purge(purge), seconds=PURGE_SECONDS)

        return await decisions.delete_due(lambda: self._due(purge, limit or BATCH), delete)

    async def purgeable(self, purge: Purge, limit: int) -> int:
        return await self._runner.run(
            lambda attempt: finding.count_due(attempt, self._kind, purge, limit),
            seconds=PURGE_SECONDS,
        )

    def registry(self) -> DatastoreRegistry:
        return DatastoreRegistry(self._runner, self._workers)

    async def count(self) -> int:
        return await self._runner.run(lambda attempt: attempt.count(finding.all_of(self._kind)))

    async def now(self) -> int:
        async def ask(attempt: Attempt) -> int:
            answer = await attempt.ask([attempt.key(self._workers, _CLOCK)])
            # An emulator may not say.
            at = answer.read_time
            return time.time_ns() // 1_000_000 if at is None else int(at.timestamp() * 1000)

        return await self._runner.run(ask)

    async def prepare(self) -> list[str]:
        # Datastore has an index of every property by itself: only that it answers is to be seen.
        await self.now()
        return list(INDEXED)

    async def server(self) -> str:
        async def ask(attempt: Attempt) -> str:
            await attempt.ask([attempt.key(self._workers, _CLOCK)])
            return f"Datastore, project {attempt.project}"

        return await self._runner.run(ask)

    async def close(self) -> None:
        await self._runner.close()

    async def check(self) -> Diagnosis:
        """Reach Datastore, and say how it went; no error is raised."""
        try:
            server = await self.server()
        except StoreError as error:
            return diagnose(error)
        return Diagnosis(
            reason=READY, detail=f"{server} is in reach", server=server, indexes=INDEXED
        )

    def _sessions(self, attempt: Attempt) -> Sessions:
        return Sessions(attempt, self._kind)

    async def _due(self, purge: Purge, wanted: int) -> list[str]:
        async def find(attempt: Attempt) -> list[str]:
            keys: list[str] = []
            async with aclosing(finding.due(attempt, self._kind, purge)) as found:
                async for key in found:
                    keys.append(key)
                    if len(keys) == wanted:
                        break
            return keys

        return await self._runner.run(find, seconds=PURGE_SECONDS)

    async def _replace_all(
        self, keys: Sequence[str], decide: Decide, *, seconds: float = CALL_SECONDS
    ) -> int:
        """How many records became something else."""
        if not keys:
            return 0
        counting = Counting(decide)
        too_large = await self._runner.run(
            lambda attempt: self._sessions(attempt).replace_all(keys, counting), seconds=seconds
        )
        return len(counting.keys - too_large)
