"""Workers of one cluster in one process, in virtual time, and what an application asks of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, Self, TypedDict, Unpack

import pytest
from moorline_sidecar.cache.entry import Entry
from moorline_sidecar.domain.changes import Patch
from moorline_sidecar.domain.ids import Hint, hashed_key, new_id
from moorline_sidecar.domain.merging import Asked
from moorline_sidecar.domain.policies import Policy
from moorline_sidecar.domain.session import Json, Reason, Record, Session, Tombstone
from moorline_sidecar.sessions.journal import Journal
from moorline_sidecar.sessions.renewing import Renewal
from moorline_sidecar.sessions.service import Served, Sessions
from moorline_sidecar.sessions.watching import GATHER_SECONDS
from moorline_sidecar.stores.memory import MemoryStore
from msgspec import structs

from tests.sidecar.sessions.faults import Link

T0: Final = 1_800_000_000_000
"""When the clock of a cluster starts: milliseconds since 1970."""

SECOND: Final = 1_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE

VIRTUAL_TIME: Final = pytest.mark.looptime(noop_cycles=0)
"""For a whole test file: when all tasks wait, the time is moved to the first that may go on."""


class Changes(TypedDict, total=False):
    """What a call may ask for; `if_match` is the one version that it names."""

    context: str
    replace: Mapping[str, Json]
    set: Mapping[str, Json]
    unset: tuple[str, ...]
    increment: Mapping[str, int | float]
    max_idle_ms: int
    principal: str | None
    key: str
    if_match: int


class LoopClock:
    """The time of the event loop, which tests compress; `skip` moves it without anyone waiting."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._start = self._loop.time()
        self._skipped_ms = 0
        self.offset = T0

    def now(self) -> int:
        return self.monotonic() + self.offset

    def monotonic(self) -> int:
        return round((self._loop.time() - self._start) * 1000) + self._skipped_ms

    def nanoseconds(self) -> int:
        return self.monotonic() * 1_000_000

    def learn(self, store_now: int, asked_at: int, answered_at: int) -> None:
        """Nothing: the store goes by the same clock."""

    def skip(self, milliseconds: int) -> None:
        self._skipped_ms += milliseconds


class Worker(Sessions):
    """A worker, its link to the store, and the calls of an application that knows its ids."""

    def __init__(
        self, link: Link, policy: Policy, clock: LoopClock, journal: Journal | None = None
    ) -> None:
        super().__init__(link, policy, clock, journal)
        self.link = link
        self.name = policy.worker

    async def new(self, **attributes: Json) -> str:
        """The id of a new session."""
        return (await self.put(new_id(), set=attributes))[1]

    async def put(self, session_id: str, **changes: Unpack[Changes]) -> tuple[Served, str]:
        return await self.create(session_id, asked(**changes))

    async def get(
        self, session_id: str, hint: Hint | None = None, *, is_access: bool = True
    ) -> Served:
        served = self.read(hashed_key(session_id), hint, is_access=is_access)
        return served if isinstance(served, Served) else await served

    async def patch(
        self, session_id: str, hint: Hint | None = None, **changes: Unpack[Changes]
    ) -> Served:
        return await self.change(hashed_key(session_id), asked(**changes), hint)

    async def done(
        self, session_id: str, hint: Hint | None = None, **changes: Unpack[Changes]
    ) -> Served:
        return await self.complete(hashed_key(session_id), asked(**changes), hint)

    async def renewed(
        self,
        session_id: str,
        hint: Hint | None = None,
        *,
        new_id: str | None = None,
        **changes: Unpack[Changes],
    ) -> tuple[Served, str]:
        renewal = Renewal(session_id=session_id, new_id=new_id, asked=asked(**changes), hint=hint)
        return await self.renew(renewal)

    async def delete(self, session_id: str, reason: Reason = Reason.LOGOUT) -> bool:
        return await self.invalidate(hashed_key(session_id), reason)

    def hint_of(self, served: Served) -> Hint:
        """What the answer tells the client to carry."""
        return Hint(served.entry.stored.version, self.name)

    def copy_of(self, session_id: str) -> Entry | None:
        """What the L1 holds, without counting as a use."""
        return self.core.l1.peek(hashed_key(session_id))

    def evict(self, session_id: str) -> None:
        """Let the L1 forget a session, as if others had needed the place."""
        self.core.l1.drop(hashed_key(session_id))


class Cluster:
    """Workers over one store; every one has a link of its own, which may fail alone."""

    def __init__(self, policy: Policy, names: tuple[str, ...]) -> None:
        self.clock = LoopClock()
        self.store = MemoryStore(self.clock.now)
        self.workers = [
            Worker(Link(self.store), structs.replace(policy, worker=name), self.clock)
            for name in names
        ]

    @classmethod
    def of(cls, *names: str, **policy: object) -> Self:
        """One whose workers the test starts."""
        return cls(structs.replace(Policy(worker=""), **policy), names)

    async def stored(self, session_id: str) -> Record | None:
        """The record as the store holds it, asked past every worker."""
        key = hashed_key(session_id)
        return (await self.store.load([key])).get(key)

    async def session(self, session_id: str) -> Session:
        record = await self.stored(session_id)
        assert isinstance(record, Session)
        return record

    async def tombstone(self, session_id: str) -> Tombstone:
        record = await self.stored(session_id)
        assert isinstance(record, Tombstone)
        return record


@asynccontextmanager
async def cluster(
    *names: str, has_stream: bool = False, **policy: object
) -> AsyncIterator[Cluster]:
    """A cluster of `a` and `b`, or of the named workers, at work; with streams, all are live."""
    made = Cluster.of(*(names or ("a", "b")), **policy)
    async with AsyncExitStack() as stack:
        for worker in made.workers:
            worker.link.has_stream = has_stream
        for worker in made.workers:
            await stack.enter_async_context(worker)
        # What a worker does at its start is behind it: tests count calls.
        for _ in range(2):
            await asyncio.sleep(0)
        if has_stream:
            for worker in made.workers:
                await until(lambda worker=worker: is_live(worker))  # type: ignore[misc] # bound now
        for worker in made.workers:
            worker.link.calls.clear()
        yield made


def asked(**changes: Unpack[Changes]) -> Asked:
    """A change as the API makes it; `key` is the idempotency key."""
    key = changes.pop("key", None)
    if_match = changes.pop("if_match", None)
    return Asked(
        patch=structs.replace(Patch(context="/"), **changes),
        if_versions=None if if_match is None else (if_match,),
        idempotency_key=key,
    )


def content(served: Served, context: str = "/") -> Json:
    """The attributes that an answer shows."""
    session = served.entry.record
    assert isinstance(session, Session)
    return dict(session.contexts[context])


async def until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    """Wait, in the loop's time, for what is to become so."""
    async with asyncio.timeout(seconds):
        while not is_so():  # noqa: ASYNC110 nothing announces it
            await asyncio.sleep(0.01)


def is_live(worker: Worker) -> bool:
    """Whether the worker's change stream is."""
    return worker.core.coverage.is_live(worker.core.clock.monotonic())


async def back(worker: Worker) -> None:
    """Let the store be in reach again, whatever waits for it still."""
    worker.link.heal()
    await until(lambda: not worker.core.availability.is_down)


async def cut(worker: Worker) -> None:
    """Take the store away, and wait until the worker knows."""
    worker.link.is_cut = True
    await until(lambda: worker.core.availability.is_down)


async def login(worker: Worker, principal: str = "ada") -> str:
    return (await worker.put(new_id(), principal=principal))[1]


async def keys_of(worker: Worker, principal: str = "ada", limit: int = 100) -> list[str]:
    """All keys that the listing shows, page by page."""
    keys: list[str] = []
    after = None
    while True:
        page = await worker.principals.page(principal, after, limit)
        keys.extend(summary.key for summary in page.summaries)
        after = page.next
        if after is None:
            return keys


async def living(two: Cluster, ids: list[str]) -> list[str]:
    return [i for i in ids if isinstance(await two.stored(i), Session)]


def questions(worker: Worker) -> int:
    return worker.link.calls["load"] + worker.link.calls["confirm"]


async def caught_up(two: Cluster) -> None:
    """Let the streams tell what has happened."""
    await asyncio.sleep(2 * GATHER_SECONDS)
    assert all(is_live(worker) for worker in two.workers)
