"""A second cache before a store, shared by all sidecars: a store over a store.

It saves the content of a read, never the question. Nobody but the store knows which version is the
newest, whether the session still lives, and when it was used: each load asks for that, and takes
from the L2 the content of the very version, by the very write, that the store has just named. So a
hit is what the store would have answered, whatever the L2 holds or loses, and tombstones, keys that
were purged and created again, and backups that were put back need no care at all.

Jetty's CachingSessionDataStore asks its cache first, and serves what has ended elsewhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from msgspec import Struct

from moorline_sidecar.domain.session import Mark, Record, Session
from moorline_sidecar.stores.base import (
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
from moorline_sidecar.stores.l2_items import item_name, item_of, session_of, ttl_of
from moorline_sidecar.stores.registry import Registry


class Item(Struct, frozen=True):
    """Bytes to be kept for so many seconds at most."""

    value: bytes
    ttl: int


class Cache(Protocol):
    """Where bytes may be found that somebody has put there, until they are gone.

    Nothing here raises, and nothing takes longer than a read of the store would.
    """

    @property
    def errors(self) -> int:
        """Calls that failed or took too long, since the start."""

    @property
    def is_usable(self) -> bool:
        """Whether it is worth asking for anything now."""

    def reaches(self, name: bytes) -> bool:
        """Whether it is worth asking for this one now."""

    async def get(self, names: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """What is found, whoever put it there."""

    def put(self, items: Mapping[bytes, Item]) -> None:
        """Have them kept, some time soon, or not."""

    async def prepare(self) -> None:
        """Connect, or give up for now."""

    async def close(self) -> None: ...


@dataclasses.dataclass
class Counts:
    """Of loads, since the start: plain integers, read when somebody asks."""

    hits: int = 0
    misses: int = 0
    """Not there, or not what was asked for."""
    unasked: int = 0
    """Loaded from the store alone, as the server of the item is away."""


class L2Store(SessionStore):
    """`store`, with the content of what is loaded kept in `cache` for the others.

    `cluster` tells the sessions of several clusters apart.
    """

    def __init__(self, store: SessionStore, cache: Cache, cluster: str) -> None:
        self._store = store
        self._cache = cache
        self._cluster = cluster
        self.counts = Counts()

    async def load(self, keys: Sequence[str]) -> dict[str, Record]:
        if not self._cache.is_usable:
            self.counts.unasked += len(keys)
            return await self._load(keys)
        marks = await self._store.confirm(keys)
        found = await self._found(marks)
        rest = [key for key in marks if key not in found]
        return {**found, **await self._load(rest)} if rest else found

    async def confirm(self, keys: Sequence[str]) -> dict[str, Mark]:
        return await self._store.confirm(keys)

    async def insert(self, session: Session) -> None:
        await self._store.insert(session)

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        return await self._store.write(writes)

    async def touch(self, touches: Sequence[Touch]) -> None:
        await self._store.touch(touches)

    async def settle(self, key: str, origin: str) -> bool:
        return await self._store.settle(key, origin)

    async def discard(self, key: str, origin: str, version: int) -> bool:
        return await self._store.discard(key, origin, version)

    async def expired(self, before: int, limit: int) -> list[Expired]:
        return await self._store.expired(before, limit)

    async def copies(self, created_before: int, limit: int) -> list[Copy]:
        return await self._store.copies(created_before, limit)

    async def drop_grace(self, before: int, limit: int) -> int:
        return await self._store.drop_grace(before, limit)

    async def by_principal(self, principal: str, after: str | None, limit: int) -> list[Summary]:
        return await self._store.by_principal(principal, after, limit)

    async def purge(self, purge: Purge, limit: int) -> int:
        return await self._store.purge(purge, limit)

    async def purgeable(self, purge: Purge, limit: int) -> int:
        return await self._store.purgeable(purge, limit)

    def watch(self, after: object = None) -> AbstractAsyncContextManager[Stream]:
        return self._store.watch(after)

    def registry(self) -> Registry | None:
        return self._store.registry()

    async def count(self) -> int:
        return await self._store.count()

    async def now(self) -> int:
        return await self._store.now()

    async def prepare(self) -> list[str]:
        await self._cache.prepare()
        return await self._store.prepare()

    async def server(self) -> str:
        return await self._store.server()

    async def close(self) -> None:
        try:
            await self._cache.close()
        finally:
            await self._store.close()

    def readings(self) -> Mapping[str, float]:
        """What the metrics of the L2 show, under the keys of `telemetry.instruments`."""
        counts = {f"l2_{name}": count for name, count in dataclasses.asdict(self.counts).items()}
        return {**counts, "l2_errors": self._cache.errors}

    async def _found(self, marks: Mapping[str, Mark]) -> dict[str, Record]:
        """The sessions whose content the L2 holds, as these marks tell of them."""
        names: dict[str, bytes] = {}
        for key, mark in marks.items():
            if mark.is_valid and mark.write_id:
                name = item_name(self._cluster, key, mark.version)
                if self._cache.reaches(name):
                    names[key] = name
                else:
                    self.counts.unasked += 1
        items = await self._cache.get(list(names.values())) if names else {}
        found: dict[str, Record] = {}
        for key, name in names.items():
            item = items.get(name)
            session = None if item is None else session_of(name, key, marks[key], item)
            if session is not None:
                found[key] = session
        self.counts.hits += len(found)
        self.counts.misses += len(names) - len(found)
        return found

    async def _load(self, keys: Sequence[str]) -> dict[str, Record]:
        records = await self._store.load(keys)
        self._keep(record for record in records.values() if isinstance(record, Session))
        return records

    def _keep(self, sessions: Iterable[Session]) -> None:
        items: dict[bytes, Item] = {}
        for session in sessions:
            name = item_name(self._cluster, session.key, session.version)
            if self._cache.reaches(name) and (value := item_of(name, session)) is not None:
                items[name] = Item(value, ttl_of(session))
        if items:
            self._cache.put(items)
