"""Applications that call workers, and remember all that they are told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from moorline_sidecar.cache.entry import Entry
from moorline_sidecar.domain.ids import new_id
from moorline_sidecar.domain.session import Reason, Session
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

from tests.properties.history import COUNTER, Answer, Asked, History, Made, State
from tests.properties.simulation import Simulation
from tests.sidecar.sessions.workers import Changes, Worker, content


class Applications:
    """Each call checks its answer against what was promised before."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    async def create(self, worker: Worker, name: str) -> None:
        session_id = new_id()
        history = History(
            self._simulation.policy,
            self._simulation.is_faulty,
            [session_id],
            created_from=self._simulation.clock.now(),
        )
        try:
            served, _ = await worker.put(session_id, set={name: 1})
        except (StoreError, Refusal) as error:
            self._accept(error)
            return
        now = self._simulation.clock.now()
        history.created_until = history.accessed_until = now
        history.accessed_from = history.created_from
        history.changes[name] = Made(session_id, worker.name, State.DURABLE, now, 1)
        self._remember(history, session_id, worker, served)
        self._simulation.histories.append(history)

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
        if not served.was_renewed and served.entry.is_evictable:
            history.all_saved(asked, self._simulation.clock.now())

    async def end(self, history: History, worker: Worker, session_id: str) -> None:
        history.ends_asked += 1
        try:
            await worker.delete(session_id)
        except StoreError as error:
            self._accept(error)
        else:
            history.ended_at = min(
                history.ended_at or self._simulation.clock.now(), self._simulation.clock.now()
            )

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
        made.answer(asked.worker, self._simulation.clock.now(), is_stored=served.entry.is_evictable)
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
            history.check_ended(reason, self._simulation.clock.now())
            raise
        except SessionUnknown:
            assert asked.session_id not in history.ids, "a session is lost"
            raise
        except StoreError as error:
            self._accept(error)
            raise
        finally:
            history.under_way -= 1
            history.accessed_until = max(history.accessed_until, self._simulation.clock.now())
        if not served.was_renewed:
            history.accessed_from = max(history.accessed_from, asked.at)
        return served

    def _accept(self, error: Exception) -> None:
        """A store that is always in reach gives no reason to fail."""
        assert self._simulation.is_faulty, error

    def _remember(self, history: History, session_id: str, worker: Worker, served: Served) -> None:
        # What is unsaved is promised to nobody but the clients of this worker.
        stored = served.entry.stored
        assert isinstance(stored, Session)
        seen = dict(stored.contexts["/"])
        history.answers.append(Answer(session_id, worker.hint_of(served), seen))
