"""The store that keeps sessions in this process's memory: the reference of the port.

Nothing outlives the process. Each method has no `await` between looking and writing, so that the
event loop makes it atomic.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import islice

from moorline_sidecar.domain.session import Mark, Record, Session, Tombstone
from moorline_sidecar.errors import AlreadyExists
from moorline_sidecar.stores.base import (
    BATCH,
    Copy,
    Expired,
    Outcome,
    Purge,
    Seen,
    SessionStore,
    Stream,
    Summary,
    Touch,
    Write,
)
from moorline_sidecar.stores.memory_log import ChangeLog
from moorline_sidecar.stores.transitions import (
    access_of,
    copy_in,
    is_purgeable,
    mark_of,
    settled,
    summary_of,
    touched,
    without_grace,
    written,
)


class MemoryStore(SessionStore):
    """A dictionary of records; `now` tells the time in milliseconds since 1970."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._records: dict[str, Record] = {}
        self._log = ChangeLog()

    async def load(self, keys: Sequence[str]) -> dict[str, Record]:
        return {key: self._records[key] for key in keys if key in self._records}

    async def confirm(self, keys: Sequence[str]) -> dict[str, Mark]:
        return {key: mark_of(self._records[key]) for key in keys if key in self._records}

    async def insert(self, session: Session) -> None:
        if session.key in self._records:
            raise AlreadyExists("the key is taken")
        self._records[session.key] = session

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        return [self._write(write) for write in writes]

    async def touch(self, touches: Sequence[Touch]) -> None:
        for touch in touches:
            session = touched(self._records.get(touch.key), touch)
            if session is not None:
                self._records[touch.key] = session

    async def settle(self, key: str, origin: str) -> bool:
        session = copy_in(self._records.get(key), origin)
        if session is not None:
            self._records[key] = settled(session)
        return session is not None

    async def discard(self, key: str, origin: str, version: int) -> bool:
        session = copy_in(self._records.get(key), origin)
        if session is None or session.version != version:
            return False
        self._delete(key)
        return True

    async def expired(self, before: int, limit: int) -> list[Expired]:
        due = (
            (session.expiry, session.key, session)
            for session in self._sessions()
            if session.renew_of is None and session.expiry is not None and session.expiry < before
        )
        return [
            Expired(key=key, access=access_of(session))
            for _, key, session in heapq.nsmallest(limit or BATCH, due)
        ]

    async def copies(self, created_before: int, limit: int) -> list[Copy]:
        found = (
            Copy(key=session.key, origin=session.renew_of, version=session.version)
            for session in self._sessions()
            if session.renew_of is not None and session.last_saved < created_before
        )
        return list(islice(found, limit or BATCH))

    async def drop_grace(self, before: int, limit: int) -> int:
        over = [
            tombstone
            for tombstone in self._tombstones()
            if tombstone.grace_until is not None and tombstone.grace_until < before
        ][: limit or BATCH]
        for tombstone in over:
            self._records[tombstone.key] = without_grace(tombstone)
        return len(over)

    async def by_principal(self, principal: str, after: str | None, limit: int) -> list[Summary]:
        found = (
            session
            for session in self._sessions()
            if session.principal == principal and (after is None or session.key > after)
        )
        first = heapq.nsmallest(limit or BATCH, found, key=lambda session: session.key)
        return [summary_of(session) for session in first]

    async def purge(self, purge: Purge, limit: int) -> int:
        keys = list(islice(self._purgeable(purge), limit or BATCH))
        for key in keys:
            self._delete(key)
        return len(keys)

    async def purgeable(self, purge: Purge, limit: int) -> int:
        return sum(1 for _ in islice(self._purgeable(purge), limit or None))

    def watch(self, after: object = None) -> AbstractAsyncContextManager[Stream]:
        return self._log.watch(after)

    async def count(self) -> int:
        return len(self._records)

    async def now(self) -> int:
        return self._now()

    async def prepare(self) -> list[str]:
        return []

    async def server(self) -> str:
        return "memory"

    async def close(self) -> None:
        self._records.clear()

    def _write(self, write: Write) -> Outcome:
        outcome, after = written(self._records.get(write.key), write)
        if after is not None:
            self._records[write.key] = after
            self._log.add(_seen(after, self._now()))
        return outcome

    def _delete(self, key: str) -> None:
        del self._records[key]
        self._log.add(Seen(key=key, version=None, at=self._now()))

    def _sessions(self) -> Iterator[Session]:
        return (record for record in self._records.values() if isinstance(record, Session))

    def _tombstones(self) -> Iterator[Tombstone]:
        return (record for record in self._records.values() if isinstance(record, Tombstone))

    def _purgeable(self, purge: Purge) -> Iterator[str]:
        return (key for key, record in self._records.items() if is_purgeable(record, purge))


def _seen(record: Record, at: int) -> Seen:
    is_valid = isinstance(record, Session)
    reason = record.reason if isinstance(record, Tombstone) else None
    return Seen(key=record.key, version=record.version, is_valid=is_valid, reason=reason, at=at)
