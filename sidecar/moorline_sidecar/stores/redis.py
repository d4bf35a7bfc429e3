"""Redis and Valkey: one hash a session, and sorted sets to find it by (docs/stores.md).

Each verb is a Lua script, which the server carries out as one step; `redis_scripts` tells of the
keys. Calls for many are one exchange with a script for each, so that none holds the server up.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from msgspec.structs import astuple

from moorline_sidecar.domain.session import Mark, Record, Session
from moorline_sidecar.errors import AlreadyExists, StoreError, StoreRefused
from moorline_sidecar.stores.base import (
    BATCH,
    Copy,
    Expired,
    Outcome,
    Purge,
    PurgeKind,
    SessionStore,
    Stream,
    Summary,
    Touch,
    Write,
)
from moorline_sidecar.stores.connection import Source
from moorline_sidecar.stores.diagnosis import READY, Diagnosis
from moorline_sidecar.stores.redis_client import Client, RedisConnection
from moorline_sidecar.stores.redis_diagnosis import (
    diagnose,
    flaw_of,
    info_of,
    product_of,
    warning_of,
)
from moorline_sidecar.stores.redis_records import (
    KEPT,
    MARK,
    copy_of,
    expired_of,
    mark_of,
    record_of,
    session_fields,
    summary_of,
    text_of,
)
from moorline_sidecar.stores.redis_registry import RedisRegistry
from moorline_sidecar.stores.redis_running import Call, Runner
from moorline_sidecar.stores.redis_scripts import INDEXES, Script, scripts_of
from moorline_sidecar.stores.redis_stream import change_stream
from moorline_sidecar.stores.redis_writes import OUTCOMES, touch_call, write_call

READ_BATCH: Final = 16
"""Sessions that one script reads: about 0.3 ms in which the server does nothing else."""

STEP: Final = 200
"""Records that one script of a purge deletes: up to 4 ms."""


def redis_store(source: Source, prefix: str) -> RedisStore:
    """The store of the keys behind `prefix`; nothing is connected to.

    Raises:
        ConfigurationError: there is a URI already, and it is of no use.
    """
    return RedisStore(RedisConnection(source, Client), prefix)


class RedisStore(SessionStore):
    """The sessions behind one prefix."""

    def __init__(self, connection: RedisConnection, prefix: str) -> None:
        self._connection = connection
        self._prefix = prefix
        self._runner = Runner(connection)
        self._scripts = scripts_of(prefix)

    async def load(self, keys: Sequence[str]) -> dict[str, Record]:
        rows = await self._rows(self._scripts.load, keys, ())
        records = {key: record_of(key, row) for key, row in rows.items()}
        return {key: record for key, record in records.items() if record is not None}

    async def confirm(self, keys: Sequence[str]) -> dict[str, Mark]:
        rows = await self._rows(self._scripts.confirm, keys, MARK)
        marks = {key: mark_of(row) for key, row in rows.items()}
        return {key: mark for key, mark in marks.items() if mark is not None}

    async def insert(self, session: Session) -> None:
        places = (
            *(text_of(session.expiry), str(session.accessed), str(session.last_saved)),
            *(session.renew_of or "", session.principal or ""),
        )
        call = Call(
            self._scripts.insert, (self._key(session.key),), (*places, *session_fields(session))
        )
        if not await self._runner.change(call):
            raise AlreadyExists("the key is taken")

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        if not writes:
            return []
        calls = [write_call(self._scripts, self._key(write.key), write) for write in writes]
        return [
            Outcome.REFUSED if isinstance(reply, StoreRefused) else OUTCOMES[reply]
            for reply in await self._runner.write(calls)
        ]

    async def touch(self, touches: Sequence[Touch]) -> None:
        calls = [touch_call(self._scripts, self._key(touch.key), touch) for touch in touches]
        if calls:
            # What the server refuses for a reason of its own is left alone.
            await self._runner.write(calls)

    async def settle(self, key: str, origin: str) -> bool:
        call = Call(self._scripts.settle, (self._key(key),), (origin,))
        return bool(await self._runner.change(call))

    async def discard(self, key: str, origin: str, version: int) -> bool:
        call = Call(self._scripts.discard, (self._key(key),), (origin, str(version)))
        return bool(await self._runner.change(call))

    async def expired(self, before: int, limit: int) -> list[Expired]:
        found = await self._ask(self._scripts.expired, str(before), str(limit or BATCH))
        return [expired_of(row) for row in found]

    async def copies(self, created_before: int, limit: int) -> list[Copy]:
        found = await self._ask(self._scripts.copies, str(created_before), str(limit or BATCH))
        return [copy_of(row) for row in found]

    async def drop_grace(self, before: int, limit: int) -> int:
        return await self._step_by_step(self._scripts.drop_grace, before, limit, KEPT)

    async def by_principal(self, principal: str, after: str | None, limit: int) -> list[Summary]:
        arguments = (principal, after or "", str(limit or BATCH))
        found = await self._ask(self._scripts.by_principal, *arguments)
        return [summary_of(row) for row in found]

    async def purge(self, purge: Purge, limit: int) -> int:
        if purge.kind is PurgeKind.INVALID:
            return await self._step_by_step(self._scripts.purge_ended, purge.before, limit)
        return await self._go_over_live(purge, limit or BATCH, deletes=True)

    async def purgeable(self, purge: Purge, limit: int) -> int:
        if purge.kind is PurgeKind.VALID:
            return await self._go_over_live(purge, limit, deletes=False)
        found = int(await self._ask(self._scripts.ended_before, str(purge.before)))
        return min(found, limit) if limit else found

    def watch(self, after: object = None) -> AbstractAsyncContextManager[Stream]:
        key = f"{self._prefix}changes"
        return change_stream(self._connection, key, self._scripts.place, after)

    def registry(self) -> RedisRegistry:
        return RedisRegistry(self._runner, self._scripts)

    async def count(self) -> int:
        return int(await self._ask(self._scripts.count))

    async def now(self) -> int:
        seconds, microseconds = await self._ask(self._scripts.now)
        return int(seconds) * 1_000 + int(microseconds) // 1_000

    async def prepare(self) -> list[str]:
        """Load the scripts, and rehearse what they do; the indexes need no making."""
        await self._runner.load(astuple(self._scripts))
        await self._runner.change(Call(self._scripts.rehearse))
        return [f"{self._prefix}{name}" for name in INDEXES]

    async def server(self) -> str:
        return product_of(info_of(await self._runner.ask("INFO", "server")))

    async def close(self) -> None:
        await self._runner.close()

    async def check(self) -> Diagnosis:
        """Reach the server, look at its settings, and say how it is; no error is raised."""
        try:
            info = info_of(await self._runner.ask("INFO"))
            server, flaw = product_of(info), flaw_of(info)
            if flaw is not None:
                return Diagnosis(reason="UnsupportedVersion", detail=flaw, server=server)
            names = tuple(await self.prepare())
        except StoreError as error:
            return diagnose(error)
        detail = f"{server} is in reach{warning_of(info)}"
        return Diagnosis(reason=READY, detail=detail, server=server, indexes=names)

    def _key(self, key: str) -> str:
        return f"{self._prefix}session:{key}"

    async def _rows(
        self, script: Script, keys: Sequence[str], arguments: tuple[str, ...]
    ) -> dict[str, Any]:
        """What the script finds for each key."""
        if not keys:
            return {}
        found = await self._runner.read(
            [
                Call(script, tuple(map(self._key, keys[first : first + READ_BATCH])), arguments)
                for first in range(0, len(keys), READ_BATCH)
            ]
        )
        return dict(zip(keys, (row for rows in found for row in rows), strict=True))

    async def _ask(self, script: Script, *arguments: str) -> Any:  # noqa: ANN401 whatever it finds
        (found,) = await self._runner.read([Call(script, (), arguments)])
        return found

    async def _step_by_step(
        self, script: Script, before: int, limit: int, more: tuple[str, ...] = ()
    ) -> int:
        """How many records the script met, which takes the first of them each time."""
        limit = limit or BATCH
        total = 0
        while total < limit:
            size = min(STEP, limit - total)
            call = Call(script, (), (str(before), str(size), *more))
            met = int(await self._runner.change(call))
            total += met
            if met < size:
                break
        return total

    async def _go_over_live(self, purge: Purge, limit: int, *, deletes: bool) -> int:
        """How many sessions the purge is about, up to `limit`; 0: all."""
        before, now = str(purge.before), str(purge.now)
        total = 0
        for index, up_to in (("forever", f"({before}"), ("expiry", now), ("copies", "+inf")):
            passed, looked = 0, STEP
            while looked == STEP and not (limit and total >= limit):
                most = min(STEP, limit - total) if limit else STEP
                arguments = (index, up_to, before, now, str(passed), str(STEP), str(most))
                call = Call(self._scripts.purge_live, (), (*arguments, "1" if deletes else "0"))
                looked, hits = await self._runner.change(call)
                total += hits
                passed += looked - hits if deletes else looked
        return total
