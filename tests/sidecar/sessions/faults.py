"""A worker's link to the store, and what may happen on it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, TypeVar

from moorline_sidecar.domain.session import Mark, Record, Session
from moorline_sidecar.errors import OutcomeUnknown, StoreUnavailable, StreamUnsupported
from moorline_sidecar.stores.base import (
    Copy,
    Expired,
    Heard,
    Outcome,
    Purge,
    SessionStore,
    Stream,
    Summary,
    Touch,
    Write,
)

T = TypeVar("T")

Operation: TypeAlias = Callable[[], Awaitable[Any]]
Fault: TypeAlias = Callable[[Operation], Awaitable[Any]]
"""What happens to one call in place of the call itself."""


async def unavailable(_operation: Operation) -> None:
    """The call fails, surely not applied."""
    raise StoreUnavailable


async def request_lost(_operation: Operation) -> None:
    """The call is not applied, and nobody knows."""
    raise OutcomeUnknown


async def answer_lost(operation: Operation) -> None:
    """The call is applied, and nobody knows."""
    await operation()
    raise OutcomeUnknown


async def refused(_operation: Operation) -> list[Outcome]:
    """The server is there, and does not take the one write of the call."""
    return [Outcome.REFUSED]


class Gate:
    """Holds up one call until the test opens it; `reached` tells that the call is there."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self._is_open = asyncio.Event()
        self._late: list[Operation] = []

    def open(self) -> None:
        self._is_open.set()

    async def before(self, operation: Operation) -> Any:  # noqa: ANN401 whatever the verb returns
        """The call waits, then is applied."""
        self.reached.set()
        await self._is_open.wait()
        return await operation()

    async def after(self, operation: Operation) -> Any:  # noqa: ANN401 whatever the verb returns
        """The call is applied; its answer waits."""
        result = await operation()
        self.reached.set()
        await self._is_open.wait()
        return result

    async def refused(self, _operation: Operation) -> None:
        """The call waits, then fails, surely not applied."""
        self.reached.set()
        await self._is_open.wait()
        raise StoreUnavailable

    async def late(self, operation: Operation) -> None:
        """The caller hears nothing; the call lands when the test says so, see `land`."""
        self._late.append(operation)
        self.reached.set()
        raise OutcomeUnknown

    async def land(self) -> list[Any]:
        """What became of the calls that come late."""
        landing, self._late = self._late, []
        return [await operation() for operation in landing]


class Link(SessionStore):
    """One worker's way to a store that several share.

    `plan` says what happens to the next calls of a verb; a `cut` link lets nothing through.
    """

    def __init__(self, store: SessionStore) -> None:
        self._store = store
        self._plans: dict[str, list[tuple[str | None, Fault]]] = {}
        self.calls: Counter[str] = Counter()
        self.touched: list[Touch] = []
        self.written: list[Write] = []
        self.loaded: list[str] = []
        self.is_cut = False
        self.always: Fault | None = None
        self.has_stream = False

    def plan(self, verb: str, fault: Fault, *, times: int = 1, key: str | None = None) -> None:
        """Let `fault` happen to the next `times` calls of `verb`, or to those about `key`."""
        self._plans.setdefault(verb, []).extend([(key, fault)] * times)

    def heal(self, always: Fault | None = None) -> None:
        """Forget all plans; `always` is what happens to every call from now on."""
        self._plans.clear()
        self.is_cut = False
        self.always = always

    async def _call(
        self, verb: str, keys: Iterable[str], operation: Callable[[], Awaitable[T]]
    ) -> T:
        self.calls[verb] += 1
        if self.is_cut:
            raise StoreUnavailable
        fault = self._planned(verb, set(keys)) or self.always
        if fault is None:
            return await operation()
        result: T = await fault(operation)
        return result

    def _planned(self, verb: str, keys: set[str]) -> Fault | None:
        plans = self._plans.get(verb, [])
        for place, (key, fault) in enumerate(plans):
            if key is None or key in keys:
                del plans[place]
                return fault
        return None

    async def load(self, keys: Sequence[str]) -> dict[str, Record]:
        self.loaded.extend(keys)
        return await self._call("load", keys, lambda: self._store.load(keys))

    async def confirm(self, keys: Sequence[str]) -> dict[str, Mark]:
        return await self._call("confirm", keys, lambda: self._store.confirm(keys))

    async def insert(self, session: Session) -> None:
        await self._call("insert", [session.key], lambda: self._store.insert(session))

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        self.written.extend(writes)
        keys = [write.key for write in writes]
        return await self._call("write", keys, lambda: self._store.write(writes))

    async def touch(self, touches: Sequence[Touch]) -> None:
        self.touched.extend(touches)
        keys = [touch.key for touch in touches]
        await self._call("touch", keys, lambda: self._store.touch(touches))

    async def settle(self, key: str, origin: str) -> bool:
        return await self._call("settle", [key], lambda: self._store.settle(key, origin))

    async def discard(self, key: str, origin: str, version: int) -> bool:
        return await self._call("discard", [key], lambda: self._store.discard(key, origin, version))

    async def expired(self, before: int, limit: int) -> list[Expired]:
        return await self._call("expired", [], lambda: self._store.expired(before, limit))

    async def copies(self, created_before: int, limit: int) -> list[Copy]:
        return await self._call("copies", [], lambda: self._store.copies(created_before, limit))

    async def drop_grace(self, before: int, limit: int) -> int:
        return await self._call("drop_grace", [], lambda: self._store.drop_grace(before, limit))

    async def by_principal(self, principal: str, after: str | None, limit: int) -> list[Summary]:
        return await self._call(
            "by_principal", [], lambda: self._store.by_principal(principal, after, limit)
        )

    async def purge(self, purge: Purge, limit: int) -> int:
        return await self._call("purge", [], lambda: self._store.purge(purge, limit))

    async def purgeable(self, purge: Purge, limit: int) -> int:
        return await self._call("purgeable", [], lambda: self._store.purgeable(purge, limit))

    async def count(self) -> int:
        return await self._call("count", [], self._store.count)

    async def now(self) -> int:
        return await self._call("now", [], self._store.now)

    async def prepare(self) -> list[str]:
        return await self._call("prepare", [], self._store.prepare)

    async def server(self) -> str:
        return await self._call("server", [], self._store.server)

    @asynccontextmanager
    async def watch(self, after: object = None) -> AsyncIterator[Stream]:
        """Planned for as `watch` (the opening) and `receive` (each reply)."""
        if not self.has_stream:
            raise StreamUnsupported("the test wants none")
        async with self._store.watch(after) as stream:
            # What is done with the opening is done to nothing: a stream is no coroutine.
            await self._call("watch", [], _nothing)
            yield _LinkedStream(self, stream)

    async def receive(self, stream: Stream, asked_at: int) -> Heard:
        return await self._call("receive", [], lambda: stream.receive(asked_at))

    async def close(self) -> None:
        """Nothing: the store outlives a worker's link."""


class _LinkedStream(Stream):
    def __init__(self, link: Link, stream: Stream) -> None:
        self._link = link
        self._stream = stream

    async def receive(self, asked_at: int) -> Heard:
        return await self._link.receive(self._stream, asked_at)


async def _nothing() -> None:
    """An operation that is over at once."""
