"""Workers over one store, each with a slow, lossy link of its own, in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from typing import Final

from moorline_api import CacheMode, Staleness
from moorline_sidecar.domain.ids import hashed_key
from moorline_sidecar.domain.policies import Policy
from moorline_sidecar.domain.session import Session, Tombstone
from moorline_sidecar.errors import (
    OutcomeUnknown,
    StoreError,
)
from msgspec import structs

from tests.properties.history import Asked, History, check_at_least
from tests.properties.witness import WitnessStore
from tests.sidecar.sessions.faults import Link, Operation
from tests.sidecar.sessions.workers import LoopClock, Worker, is_live, until

ANSWER_SECONDS: Final = 12
"""No call takes longer: what does hangs."""

DELAYS: Final = (0, 0, 0, 0.001, 0.005, 0.03, 0.2)
"""Seconds that a call to the store takes, each way."""

LATE_SECONDS: Final = (0.05, 0.5, 2, 6)


class Simulation:
    """A cluster, and what is known of its sessions."""

    def __init__(self, policy: Policy, names: str, seed: int, *, is_faulty: bool) -> None:
        self.policy = policy
        self.is_faulty = is_faulty
        self.chance = random.Random(seed)
        self.clock = LoopClock()
        self.store = WitnessStore(self.clock.now)
        self.workers = [
            Worker(Link(self.store), structs.replace(policy, worker=name), self.clock)
            for name in names
        ]
        for worker in self.workers:
            worker.link.always = self._delayed
            worker.link.has_stream = True
        self.histories: list[History] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.stack = AsyncExitStack()

    async def open(self) -> None:
        for worker in self.workers:
            await self.stack.enter_async_context(worker)
        is_pushed = self.policy.staleness is Staleness.PUSHED
        if is_pushed and self.policy.cache_mode is CacheMode.ENABLED:
            await until(lambda: all(map(is_live, self.workers)))

    def crash(self, worker: Worker) -> None:
        """A worker is gone for good: nothing it does reaches the store any more."""
        worker.link.is_cut = True
        self.workers.remove(worker)
        for history in self.histories:
            history.lose_worker(worker.name)

    # What a link does

    async def _delayed(self, operation: Operation) -> object:
        await asyncio.sleep(self.chance.choice(DELAYS))
        result: object = await operation()
        await asyncio.sleep(self.chance.choice(DELAYS))
        return result

    async def late(self, operation: Operation) -> None:
        """The answer is lost, the call lands some time later."""

        async def land() -> None:
            await asyncio.sleep(self.chance.choice(LATE_SECONDS))
            with contextlib.suppress(StoreError):
                await operation()

        self.tasks.add(asyncio.ensure_future(land()))
        raise OutcomeUnknown

    # Calls that run on their own

    def start(self, call: Awaitable[None]) -> asyncio.Task[None]:
        """Let a call run on its own; what it finds wrong comes out of `raise_failures`."""

        async def bounded() -> None:
            async with asyncio.timeout(ANSWER_SECONDS):
                await call

        task = asyncio.ensure_future(bounded())
        self.tasks.add(task)
        return task

    def raise_failures(self) -> None:
        for task in [task for task in self.tasks if task.done()]:
            self.tasks.discard(task)
            task.result()
        assert not self.store.objections, self.store.objections[0]

    # The end

    async def close(self) -> None:
        """Heal the links, save everything, and look whether all that was promised is stored."""
        for worker in self.workers:
            worker.link.heal(self._delayed)
        while self.tasks:
            await asyncio.wait(self.tasks)
            self.raise_failures()
        self.raise_failures()
        await asyncio.sleep(2)
        closed = [await worker.close(8) for worker in self.workers]
        await self.stack.aclose()
        self.raise_failures()
        assert all(closed), "not everything could be saved"
        for history in self.histories:
            self._check_stored(history)

    def _check_stored(self, history: History) -> None:
        key: str | None = hashed_key(history.ids[0])
        record = None
        while key is not None:
            record = self.store.records.get(key)
            assert record is not None, "a session is lost"
            key = record.renewed_to if isinstance(record, Tombstone) else None
        if isinstance(record, Tombstone):
            history.check_ended(record.reason, record.invalidated)
            return
        assert isinstance(record, Session)
        assert history.ended_at is None, "an ended session lives"
        asked = Asked(history.ids[-1], "", self.clock.now() + 1)
        seen = record.contexts["/"]
        history.check_content(seen, asked)
        names, count = history.floor(asked.at)
        check_at_least(seen, names | history.unsaved(None, asked.at), count)
