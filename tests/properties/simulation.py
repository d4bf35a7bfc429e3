"""Workers over one store with a slow, lossy link each, and applications that remember it all."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final

from moorline_sidecar.cache.entry import Entry
from moorline_sidecar.domain.ids import hashed_key, new_id
from moorline_sidecar.domain.policies import Policy
from moorline_sidecar.domain.session import Reason, Session, Tombstone
from moorline_sidecar.errors import (
    OutcomeUnknown,
    Refusal,
    SessionEnded,
    SessionUnknown,
    StoreError,
    StoreUnavailable,
)
from moorline_sidecar.sessions.finding import Source
from moorline_sidecar.sessions.service import Served
from msgspec import structs

from tests.properties.history import COUNTER, Answer, Asked, History, Made, State, check_at_least
from tests.properties.witness import WitnessStore
from tests.sidecar.sessions.faults import Link, Operation
from tests.sidecar.sessions.workers import Changes, LoopClock, Worker, content

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
        self.histories: list[History] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.stack = AsyncExitStack()

    async def open(self) -> None:
        for worker in self.workers:
            await self.stack.enter_async_context(worker)

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

    # Calls of applications

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

    async def create(self, worker: Worker, name: str) -> None:
        session_id = new_id()
        history = History(self.policy, self.is_faulty, [session_id], created_from=self.clock.now())
        try:
            served, _ = await worker.put(session_id, set={name: 1})
        except (StoreError, Refusal) as error:
            self._accept(error)
            return
        now = self.clock.now()
        history.created_until = history.accessed_until = now
        history.accessed_from = history.created_from
        history.changes[name] = Made(session_id, worker.name, State.DURABLE, now, 1)
        self._remember(history, session_id, worker, served)
        self.histories.append(history)

    async def read(self, history: History, worker: Worker, asked: Asked) -> None:
        outages = worker.core.counters.outages
        is_down = worker.core.availability.is_down
        try:
            served = await self._answered(
                history, asked, lambda: worker.get(asked.session_id, asked.hint)
            )
        except OutcomeUnknown as error:
            raise AssertionError("a read has no outcome to be unknown") from error
        except (SessionEnded, SessionUnknown, StoreUnavailable):
            return
        if served.was_renewed:
            history.check_grace(content(served), asked)
            return
        history.check_read(
            content(served),
            asked,
            was_asked=served.source is not Source.HIT,
            is_degraded=is_down or outages != worker.core.counters.outages,
        )
        self._remember(history, asked.session_id, worker, served)

    async def change(
        self, history: History, worker: Worker, asked: Asked, name: str, if_match: int | None
    ) -> None:
        changes = Changes(set={name: 1})
        if if_match is not None:
            changes["if_match"] = if_match
        made = history.changes[name] = Made(asked.session_id, worker.name)
        served = await self._made(
            history, asked, made, lambda: worker.patch(asked.session_id, asked.hint, **changes)
        )
        if served is None:
            return
        assert name in content(served), "the answer does not show the change"
        self._remember(history, asked.session_id, worker, served)
        if if_match is not None:
            won = (asked.session_id, if_match)
            assert won not in history.versions_won, "two changes of one version"
            history.versions_won.add(won)

    async def increment(self, history: History, worker: Worker, asked: Asked, key: str) -> None:
        made = history.counted.setdefault(key, Made(asked.session_id, worker.name))
        changes = Changes(increment={COUNTER: 1}, key=key)
        served = await self._made(
            history, asked, made, lambda: worker.patch(asked.session_id, asked.hint, **changes)
        )
        if served is not None:
            self._remember(history, asked.session_id, worker, served)

    async def renew(self, history: History, worker: Worker, asked: Asked, name: str) -> None:
        history.renewers.add((asked.session_id, worker.name))
        session_id = new_id()
        made = history.changes[name] = Made(session_id, worker.name)

        async def renew() -> Served:
            served, _ = await worker.renewed(
                asked.session_id, asked.hint, new_id=session_id, set={name: 1}
            )
            history.ids.append(session_id)
            return served

        served = await self._made(history, asked, made, renew)
        if served is not None:
            self._remember(history, session_id, worker, served)

    async def complete(self, history: History, worker: Worker, asked: Asked) -> None:
        try:
            served = await self._answered(
                history, asked, lambda: worker.done(asked.session_id, asked.hint)
            )
        except (StoreError, SessionEnded, SessionUnknown):
            return
        if not served.was_renewed and not served.entry.unsaved:
            history.all_saved(worker.name, asked.at, self.clock.now())

    async def end(self, history: History, worker: Worker, session_id: str) -> None:
        history.ends_asked += 1
        try:
            await worker.delete(session_id)
        except StoreError as error:
            self._accept(error)
        else:
            history.ended_at = min(history.ended_at or self.clock.now(), self.clock.now())

    async def evict(self, worker: Worker, entry: Entry) -> None:
        await worker.housekeeping.evict(entry)

    async def _made(
        self, history: History, asked: Asked, made: Made, call: Callable[[], Awaitable[Served]]
    ) -> Served | None:
        """The answer to a change; None where it was refused, or nobody knows."""
        made.begin()
        try:
            served = await self._answered(history, asked, call)
        except OutcomeUnknown:
            return None
        except (StoreUnavailable, Refusal):
            made.refuse()
            return None
        made.answer(asked.worker, self.clock.now(), is_stored=not served.entry.unsaved)
        return served

    async def _answered(
        self, history: History, asked: Asked, call: Callable[[], Awaitable[Served]]
    ) -> Served:
        """The answer of a call, if it is one that may be given; refusals are passed on."""
        history.under_way += 1
        try:
            served = await call()
            history.check_content(content(served), asked)
        except SessionEnded as ended:
            reason = Reason(ended.reason)
            history.check_ended(reason, self.clock.now())
            raise
        except SessionUnknown:
            assert asked.session_id not in history.ids, "a session is lost"
            raise
        except StoreError as error:
            self._accept(error)
            raise
        finally:
            history.under_way -= 1
            history.accessed_until = max(history.accessed_until, self.clock.now())
        if not served.was_renewed:
            history.accessed_from = max(history.accessed_from, asked.at)
        return served

    def _accept(self, error: Exception) -> None:
        """A store that is always in reach gives no reason to fail."""
        assert self.is_faulty, error

    def _remember(self, history: History, session_id: str, worker: Worker, served: Served) -> None:
        # What is unsaved is promised to nobody but the clients of this worker.
        stored = served.entry.stored
        assert isinstance(stored, Session)
        seen = dict(stored.contexts["/"])
        history.answers.append(Answer(session_id, worker.hint_of(served), seen))

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
