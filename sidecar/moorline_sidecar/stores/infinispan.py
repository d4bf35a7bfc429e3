"""Infinispan: one entry of a remote cache for each session, over Hot Rod (docs/stores.md).

Only what every server brings along is used: no code of ours runs there. Each change is a
compare-and-set on the entry; what has to be found is found by queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from moorline_sidecar.domain.session import Mark, Record, Session
from moorline_sidecar.errors import AlreadyExists, StoreError, StoreRefused
from moorline_sidecar.stores import decisions, transitions
from moorline_sidecar.stores import infinispan_finding as finding
from moorline_sidecar.stores import infinispan_schema as schema
from moorline_sidecar.stores import infinispan_wire as wire
from moorline_sidecar.stores import infinispan_writes as writing
from moorline_sidecar.stores.base import (
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
from moorline_sidecar.stores.decisions import Counting, Decide
from moorline_sidecar.stores.diagnosis import READY, Diagnosis
from moorline_sidecar.stores.infinispan_client import Client
from moorline_sidecar.stores.infinispan_diagnosis import diagnose
from moorline_sidecar.stores.infinispan_protobuf import Scalar
from moorline_sidecar.stores.infinispan_records import (
    CLOCK_VALUE,
    COPY_FIELDS,
    EXPIRED_FIELDS,
    SUMMARY_FIELDS,
    copy_of,
    expired_of,
    key_of,
    read,
    summary_of,
    value_of,
)
from moorline_sidecar.stores.infinispan_registry import InfinispanRegistry
from moorline_sidecar.stores.infinispan_running import Attempt, Runner

_CLOCK: Final = "moorline.clock"
_CLOCK_SECONDS: Final = 60
"""What ends by itself is told with the time of its making."""


def infinispan_store(source: Source, cache: str) -> InfinispanStore:
    """The store of a cache; nothing is connected to.

    Raises:
        ConfigurationError: there is a URI already, and it is of no use.
    """
    return InfinispanStore(UriConnection(source, Client), cache)


class InfinispanStore(SessionStore):
    """The sessions of one cache; beside it is `<cache>.workers`."""

    def __init__(self, connection: UriConnection[Client], cache: str) -> None:
        self._cache = cache
        self._workers = f"{cache}.workers"
        self._runner = Runner(connection)

    async def load(self, keys: Sequence[str]) -> dict[str, Record]:
        requests = [wire.get(self._cache, key_of(key)) for key in keys]
        if not requests:
            return {}
        entries = await self._runner.run(lambda attempt: attempt.ask(requests))
        found = {
            key: read(key, entry.value)
            for key, entry in zip(keys, entries, strict=True)
            if entry.is_done
        }
        return {key: record for key, record in found.items() if record is not None}

    async def confirm(self, keys: Sequence[str]) -> dict[str, Mark]:
        records = await self.load(keys)
        return {key: transitions.mark_of(record) for key, record in records.items()}

    async def insert(self, session: Session) -> None:
        request = wire.put_if_absent(self._cache, key_of(session.key), value_of(session))
        (reply,) = await self._runner.run(lambda attempt: attempt.ask([request]))
        if reply.is_error:
            raise StoreRefused("the cache is full")
        if not reply.is_done:
            raise AlreadyExists("the key is taken")

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        if not writes:
            return []
        return await self._runner.run(lambda attempt: writing.write(attempt, self._cache, writes))

    async def touch(self, touches: Sequence[Touch]) -> None:
        keys = list(dict.fromkeys(touch.key for touch in touches))
        await self._replace_all(keys, decisions.touch(touches))

    async def settle(self, key: str, origin: str) -> bool:
        return await self._replace_all([key], decisions.settle(origin)) == 1

    async def discard(self, key: str, origin: str, version: int) -> bool:
        return await self._replace_all([key], decisions.discard(origin, version)) == 1

    async def expired(self, before: int, limit: int) -> list[Expired]:
        found = await self._find(finding.earliest(EXPIRED_FIELDS, "due", before, limit))
        return [expired_of(row) for row in found]

    async def copies(self, created_before: int, limit: int) -> list[Copy]:
        found = await self._find(finding.earliest(COPY_FIELDS, "copied", created_before, limit))
        return [copy_of(row) for row in found]

    async def drop_grace(self, before: int, limit: int) -> int:
        found = await self._find(finding.earliest(("key",), "graceUntil", before, limit))

        keys = [str(key) for (key,) in found]
        return await self._replace_all(keys, decisions.drop_grace(before))

    async def by_principal(self, principal: str, after: str | None, limit: int) -> list[Summary]:
        found = await self._find(finding.of_principal(SUMMARY_FIELDS, principal, after, limit))
        return [summary_of(row) for row in found]

    async def purge(self, purge: Purge, limit: int) -> int:
        search = finding.purgeable(("key",), purge, limit)

        async def due() -> list[str]:
            return [str(key) for (key,) in await self._find(search, seconds=PURGE_SECONDS)]

        async def delete(keys: Sequence[str]) -> int:
            return await self._replace_all(keys, decisions.purge(purge), seconds=PURGE_SECONDS)

        return await decisions.delete_due(due, delete)

    async def purgeable(self, purge: Purge, limit: int) -> int:
        count = await self._runner.run(
            lambda attempt: finding.count_purgeable(attempt, self._cache, purge),
            seconds=PURGE_SECONDS,
        )
        return min(count, limit) if limit else count

    def registry(self) -> InfinispanRegistry:
        return InfinispanRegistry(self._runner, self._workers)

    async def count(self) -> int:
        request = wire.size(self._cache)
        return (await self._runner.run(lambda attempt: attempt.ask_one(request))).number

    async def now(self) -> int:
        key = key_of(_CLOCK)
        write = wire.put(self._workers, key, CLOCK_VALUE, seconds=_CLOCK_SECONDS)

        async def ask(attempt: Attempt) -> int:
            await attempt.ask([write], changes=False)
            return (await attempt.ask_one(wire.get_made(self._workers, key))).at

        return await self._runner.run(ask)

    async def prepare(self) -> list[str]:
        caches = (self._cache, self._workers)
        return await self._runner.run(
            lambda attempt: schema.make(attempt, *caches), seconds=schema.PREPARE_SECONDS
        )

    async def server(self) -> str:
        request = wire.ping("")
        newest = (await self._runner.run(lambda attempt: attempt.ask_one(request))).number
        return f"Infinispan, Hot Rod {newest // 10}.{newest % 10}"

    async def close(self) -> None:
        await self._runner.close()

    async def check(self) -> Diagnosis:
        """Reach the servers, make the caches, and say how it went; no error is raised."""
        try:
            server = await self.server()
            names = tuple(await self.prepare())
            await self.now()
        except StoreError as error:
            return diagnose(error)
        return Diagnosis(reason=READY, detail=f"{server} is in reach", server=server, indexes=names)

    async def _find(
        self, search: finding.Search, *, seconds: float = CALL_SECONDS
    ) -> list[list[Scalar]]:
        return await self._runner.run(
            lambda attempt: finding.rows(attempt, self._cache, search), seconds=seconds
        )

    async def _replace_all(
        self, keys: Sequence[str], decide: Decide, *, seconds: float = CALL_SECONDS
    ) -> int:
        """How many records became something else."""
        counting = Counting(decide)

        async def replace_all(attempt: Attempt) -> set[str]:
            return await writing.replace_all(attempt, self._cache, keys, counting)

        if not keys:
            return 0
        refused = await self._runner.run(replace_all, seconds=seconds)
        return len(counting.keys - refused)
