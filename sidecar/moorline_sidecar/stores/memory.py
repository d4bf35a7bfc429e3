"""The store that keeps sessions in this process's memory: the reference of the port.

Nothing outlives the process. Each method has no `await` between looking and writing, so that the
event loop makes it atomic.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import islice
from typing import Final

from msgspec.structs import replace

from moorline_sidecar.domain.content import content_of
from moorline_sidecar.domain.differences import added_contexts, changed_attributes
from moorline_sidecar.domain.session import Json, Mark, Record, Session, Tombstone
from moorline_sidecar.errors import AlreadyExists
from moorline_sidecar.stores.base import (
    AccessGuard,
    Change,
    Copy,
    End,
    Expired,
    Outcome,
    Purge,
    PurgeKind,
    Seen,
    SessionStore,
    Stream,
    Summary,
    Touch,
    Write,
)
from moorline_sidecar.stores.memory_log import ChangeLog

BATCH: Final = 1_000
"""Records that a query answers when it is not told how many."""


class MemoryStore(SessionStore):
    """A dictionary of records; `now` tells the time in milliseconds since 1970."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._records: dict[str, Record] = {}
        self._log = ChangeLog()

    async def load(self, keys: Sequence[str]) -> dict[str, Record]:
        return {key: self._records[key] for key in keys if key in self._records}

    async def confirm(self, keys: Sequence[str]) -> dict[str, Mark]:
        return {key: _mark(self._records[key]) for key in keys if key in self._records}

    async def insert(self, session: Session) -> None:
        if session.key in self._records:
            raise AlreadyExists("the key is taken")
        self._records[session.key] = session

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        return [self._write(write) for write in writes]

    async def touch(self, touches: Sequence[Touch]) -> None:
        for touch in touches:
            session = self._records.get(touch.key)
            if (
                isinstance(session, Session)
                and session.accessed <= touch.accessed
                and session.max_idle_ms == touch.max_idle_ms
            ):
                self._records[touch.key] = _touched(session, touch)

    async def settle(self, key: str, origin: str) -> bool:
        session = self._copy(key, origin)
        if session is not None:
            self._records[key] = replace(session, renew_of=None)
        return session is not None

    async def discard(self, key: str, origin: str, version: int) -> bool:
        session = self._copy(key, origin)
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
            Expired(key=key, access=_access(session))
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
            self._records[tombstone.key] = replace(tombstone, grace=None, grace_until=None)
        return len(over)

    async def by_principal(self, principal: str, after: str | None, limit: int) -> list[Summary]:
        found = (
            session
            for session in self._sessions()
            if session.principal == principal and (after is None or session.key > after)
        )
        first = heapq.nsmallest(limit or BATCH, found, key=lambda session: session.key)
        return [_summary(session) for session in first]

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
        stored = self._records.get(write.key)
        if stored is None:
            return Outcome.ABSENT
        if isinstance(stored, Session) and _guards_hold(write, stored):
            after = _changed(stored, write) if isinstance(write, Change) else _ended(stored, write)
            self._records[write.key] = after
            self._log.add(_seen(after, self._now()))
            return Outcome.APPLIED
        if write.write_id and stored.write_id == write.write_id:
            return Outcome.APPLIED
        return Outcome.CONFLICT if isinstance(stored, Session) else Outcome.ENDED

    def _delete(self, key: str) -> None:
        del self._records[key]
        self._log.add(Seen(key=key, version=None, at=self._now()))

    def _copy(self, key: str, origin: str) -> Session | None:
        session = self._records.get(key)
        return session if isinstance(session, Session) and session.renew_of == origin else None

    def _sessions(self) -> Iterator[Session]:
        return (record for record in self._records.values() if isinstance(record, Session))

    def _tombstones(self) -> Iterator[Tombstone]:
        return (record for record in self._records.values() if isinstance(record, Tombstone))

    def _purgeable(self, purge: Purge) -> Iterator[str]:
        if purge.kind is PurgeKind.INVALID:
            return (
                tombstone.key
                for tombstone in self._tombstones()
                if tombstone.invalidated < purge.before
            )
        return (
            session.key
            for session in self._sessions()
            if session.accessed < purge.before
            and (session.expiry is None or session.expiry <= purge.now)
        )


def _guards_hold(write: Write, stored: Session) -> bool:
    if isinstance(write, Change):
        return stored.version == write.before.version
    return write.version in (None, stored.version) and write.access in (None, _access(stored))


def _changed(stored: Session, change: Change) -> Session:
    """`stored` with what the change changes, and nothing else of its `after`."""
    before, after = change.before, change.after
    # A touch may have come in between: it writes times, and leaves the version as it is.
    expiry = after.expiry
    if after.max_idle_ms == before.max_idle_ms:
        expiry = max((e for e in (stored.expiry, expiry) if e is not None), default=None)
    return replace(
        stored,
        version=after.version,
        write_id=after.write_id,
        accessed=max(stored.accessed, after.accessed),
        last_accessed=after.last_accessed,
        expiry=expiry,
        max_idle_ms=after.max_idle_ms,
        last_node=after.last_node,
        last_saved=after.last_saved,
        cookie_set=after.cookie_set,
        principal=after.principal,
        recent=after.recent,
        contexts=_contexts(stored, change),
        renew_of=None,
    )


def _contexts(stored: Session, change: Change) -> Mapping[str, Mapping[str, Json]]:
    if stored.contexts is change.before.contexts:
        return change.after.contexts
    contexts = {context: dict(attributes) for context, attributes in stored.contexts.items()}
    contexts.update(
        (context, dict(attributes))
        for context, attributes in added_contexts(change.before, change.after).items()
    )
    for changed in changed_attributes(change.before, change.after):
        if changed.is_set:
            contexts.setdefault(changed.context, {})[changed.name] = changed.value
        elif changed.context in contexts:
            contexts[changed.context].pop(changed.name, None)
    return content_of(contexts)


def _ended(stored: Session, end: End) -> Tombstone:
    has_grace = end.grace_until is not None
    return Tombstone(
        key=stored.key,
        version=stored.version + 1,
        created=stored.created,
        accessed=stored.accessed,
        invalidated=end.now,
        reason=end.reason,
        write_id=end.write_id,
        renewed_to=end.renewed_to,
        grace_until=end.grace_until,
        grace=replace(stored, write_id="", renew_of=None) if has_grace else None,
    )


def _touched(session: Session, touch: Touch) -> Session:
    return replace(
        session,
        accessed=touch.accessed,
        last_accessed=touch.last_accessed,
        expiry=touch.expiry,
        last_node=touch.last_node,
        last_saved=touch.now,
        renew_of=None,
    )


def _access(session: Session) -> AccessGuard:
    return AccessGuard(session.accessed, session.expiry, session.last_node)


def _mark(record: Record) -> Mark:
    if isinstance(record, Tombstone):
        return Mark(version=record.version, is_valid=False)
    return Mark(
        version=record.version,
        is_valid=True,
        accessed=record.accessed,
        last_accessed=record.last_accessed,
        expiry=record.expiry,
        max_idle_ms=record.max_idle_ms,
        last_node=record.last_node,
    )


def _seen(record: Record, at: int) -> Seen:
    is_valid = isinstance(record, Session)
    reason = record.reason if isinstance(record, Tombstone) else None
    return Seen(key=record.key, version=record.version, is_valid=is_valid, reason=reason, at=at)


def _summary(session: Session) -> Summary:
    return Summary(
        key=session.key,
        created=session.created,
        accessed=session.accessed,
        expiry=session.expiry,
        last_node=session.last_node,
        renew_of=session.renew_of,
    )
