"""Hazelcast: one entry of a distributed map for each session (docs/stores.md).

Only what every member brings along is used: no code of ours runs on the servers. Each change is a
compare-and-set on the entry; what has to be found is found by the map's indexes.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final

from hazelcast import predicate
from hazelcast.core import HazelcastJsonValue

from moorline_sidecar.domain.session import Mark, Record, Session
from moorline_sidecar.errors import AlreadyExists, StoreError
from moorline_sidecar.stores import decisions, transitions
from moorline_sidecar.stores import hazelcast_finding as finding
from moorline_sidecar.stores import hazelcast_writes as writing
from moorline_sidecar.stores.base import (
    BATCH,
    CALL_SECONDS,
    PURGE_SECONDS,
    Copy,
    Expired,
    Outcome,
    Purge,
    SessionStore,
    Stream,
    Summary,
    Touch,
    Write,
)
from moorline_sidecar.stores.connection import Source, UriConnection
from moorline_sidecar.stores.decisions import Counting, Decide
from moorline_sidecar.stores.diagnosis import READY, Diagnosis
from moorline_sidecar.stores.hazelcast_announcing import ring_name
from moorline_sidecar.stores.hazelcast_client import Link
from moorline_sidecar.stores.hazelcast_diagnosis import diagnose
from moorline_sidecar.stores.hazelcast_registry import HazelcastRegistry
from moorline_sidecar.stores.hazelcast_rows import (
    COPY_FIELDS,
    EXPIRED_FIELDS,
    SUMMARY_FIELDS,
    copy_of,
    expired_of,
    summary_of,
)
from moorline_sidecar.stores.hazelcast_running import Attempt, Runner
from moorline_sidecar.stores.hazelcast_stream import Changes
from moorline_sidecar.stores.json_records import record_of, text_of

PREPARE_SECONDS: Final = 300.0
"""For the indexes of a large map that has none yet."""

OLDEST_MAJOR: Final = 5
"""Of the versions that are tested."""

_CLOCK_BITS: Final = 22
"""Of an id, those below its time: six for a sequence and sixteen for the member."""
_CLOCK_EPOCH: Final = 1_514_764_800_000
"""The milliseconds of 1970 that times in ids begin with: 2018."""


def hazelcast_store(
    source: Source, cluster_name: str, servers: Sequence[str], map_name: str
) -> HazelcastStore:
    """The store of a map; nothing is connected to.

    Raises:
        ConfigurationError: there is a URI already, and it is of no use.
    """
    opener = partial(Link, cluster_name, servers, _clock(map_name))
    return HazelcastStore(UriConnection(source, opener), map_name)


class HazelcastStore(SessionStore):
    """The sessions of one map."""

    def __init__(self, connection: UriConnection[Link], map_name: str) -> None:
        self._map_name = map_name
        self._runner = Runner(connection, map_name)
        self._changes = Changes(self._runner, ring_name(map_name))
        self._found: dict[Purge, list[str]] = {}

    async def load(self, keys: Sequence[str]) -> dict[str, Record]:
        if not keys:
            return {}
        texts = await self._runner.run(lambda attempt: attempt.texts(list(keys)))
        records = ((key, record_of(key, text)) for key, text in texts.items())
        return {key: record for key, record in records if record is not None}

    async def confirm(self, keys: Sequence[str]) -> dict[str, Mark]:
        records = await self.load(keys)
        return {key: transitions.mark_of(record) for key, record in records.items()}

    async def insert(self, session: Session) -> None:
        value = HazelcastJsonValue(text_of(session))

        async def insert(attempt: Attempt) -> object:
            return await attempt.change(lambda: attempt.map.put_if_absent(session.key, value))

        if await self._runner.run(insert) is not None:
            raise AlreadyExists("the key is taken")

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        if not writes:
            return []
        return await self._runner.run(lambda attempt: writing.write(attempt, writes))

    async def touch(self, touches: Sequence[Touch]) -> None:
        keys = list(dict.fromkeys(touch.key for touch in touches))
        await self._replace_all(keys, decisions.touch(touches))

    async def settle(self, key: str, origin: str) -> bool:
        return await self._replace_all([key], decisions.settle(origin)) == 1

    async def discard(self, key: str, origin: str, version: int) -> bool:
        return await self._replace_all([key], decisions.discard(origin, version)) == 1

    async def expired(self, before: int, limit: int) -> list[Expired]:
        wanted = limit or BATCH

        async def find(attempt: Attempt) -> list[Expired]:
            no_copy = predicate.equal("copied", None)
            where = await finding.earliest(attempt, "expiry", before, wanted, no_copy)
            rows = await finding.rows_of(attempt, where, *EXPIRED_FIELDS)
            return [expired_of(row) for row in sorted(rows, key=lambda row: (row[1], row[0]))]

        return (await self._runner.run(find))[:wanted]

    async def copies(self, created_before: int, limit: int) -> list[Copy]:
        wanted = limit or BATCH

        async def find(attempt: Attempt) -> list[Copy]:
            where = await finding.earliest(attempt, "copied", created_before, wanted)
            rows = await finding.rows_of(attempt, where, *COPY_FIELDS)
            return [copy_of(row) for row in rows[:wanted]]

        return await self._runner.run(find)

    async def drop_grace(self, before: int, limit: int) -> int:
        wanted = limit or BATCH

        async def find(attempt: Attempt) -> list[str]:
            where = await finding.earliest(attempt, "graceUntil", before, wanted)
            return (await finding.keys_of(attempt, where))[:wanted]

        return await self._replace_all(await self._runner.run(find), decisions.drop_grace(before))

    async def by_principal(self, principal: str, after: str | None, limit: int) -> list[Summary]:
        async def find(attempt: Attempt) -> list[Summary]:
            rows = await finding.page_of(attempt, principal, after, limit or BATCH, *SUMMARY_FIELDS)
            return [summary_of(row) for row in rows]

        return await self._runner.run(find)

    async def purge(self, purge: Purge, limit: int) -> int:
        async def delete(keys: Sequence[str]) -> int:
            return await self._replace_all(keys, decisions.purge(purge), seconds=PURGE_SECONDS)

        return await decisions.delete_due(lambda: self._due(purge, limit or BATCH), delete)

    async def purgeable(self, purge: Purge, limit: int) -> int:
        count = await self._runner.run(
            lambda attempt: finding.count_purgeable(attempt, purge), seconds=PURGE_SECONDS
        )
        return min(count, limit) if limit else count

    def watch(self, after: object = None) -> AbstractAsyncContextManager[Stream]:
        return self._changes.watch(after)

    def registry(self) -> HazelcastRegistry:
        return HazelcastRegistry(self._runner, self._map_name)

    async def count(self) -> int:
        async def count(attempt: Attempt) -> int:
            return int(await attempt.map.size())

        return await self._runner.run(count)

    async def now(self) -> int:
        async def ask(attempt: Attempt) -> int:
            clock = await attempt.client.get_flake_id_generator(_clock(self._map_name))
            return (int(await clock.new_id()) >> _CLOCK_BITS) + _CLOCK_EPOCH

        return await self._runner.run(ask)

    async def prepare(self) -> list[str]:
        # A cluster that was away as a whole comes back without its indexes.
        self._runner.on_connected(finding.make_indexes)
        return await self._runner.run(finding.make_indexes, seconds=PREPARE_SECONDS)

    async def server(self) -> str:
        versions = await self._versions()
        members = "1 member" if len(versions) == 1 else f"{len(versions)} members"
        return f"Hazelcast {'.'.join(map(str, min(versions)))}, {members}"

    async def close(self) -> None:
        await self._runner.close()

    async def check(self) -> Diagnosis:
        """Reach the cluster, make the indexes, and say how it went; no error is raised."""
        try:
            server = await self.server()
            if min(await self._versions()) < (OLDEST_MAJOR,):
                detail = f"the members have to be Hazelcast {OLDEST_MAJOR} or newer"
                return Diagnosis(reason="UnsupportedVersion", detail=detail, server=server)
            names = tuple(await self.prepare())
        except StoreError as error:
            return diagnose(error)
        return Diagnosis(reason=READY, detail=f"{server} is in reach", server=server, indexes=names)

    async def _versions(self) -> list[tuple[int, ...]]:
        async def ask(attempt: Attempt) -> list[tuple[int, ...]]:
            await attempt.map.size()
            versions = [member.version for member in attempt.client.cluster_service.get_members()]
            return [(version.major, version.minor, version.patch) for version in versions]

        return await self._runner.run(ask)

    async def _due(self, purge: Purge, wanted: int) -> list[str]:
        """Keys of what was due when it was last looked for, which is not often."""
        keys = self._found.pop(purge, [])
        if not keys:
            field, others = finding.purgeable(purge)

            async def find(attempt: Attempt) -> list[str]:
                where = await finding.earliest(attempt, field, purge.before, wanted, *others)
                return await finding.keys_of(attempt, where)

            keys = await self._runner.run(find, seconds=PURGE_SECONDS)
        if keys[wanted:]:
            self._found = {purge: keys[wanted:]}
        return keys[:wanted]

    async def _replace_all(
        self,
        keys: Sequence[str],
        decide: Decide,
        *,
        seconds: float = CALL_SECONDS,
    ) -> int:
        """How many records became something else."""
        counting = Counting(decide)

        async def replace_all(attempt: Attempt) -> set[str]:
            return await writing.replace_all(attempt, keys, counting)

        if not keys:
            return 0
        refused = await self._runner.run(replace_all, seconds=seconds)
        return len(counting.keys - refused)


def _clock(map_name: str) -> str:
    return f"{map_name}.clock"
