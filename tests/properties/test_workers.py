"""Whatever two or three workers, their links and their clients do, every promise is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import hypothesis.strategies as st
import looptime
import pytest
from hypothesis import settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from moorline_sidecar.domain.policies import Policy

from tests.properties.applications import Applications
from tests.properties.history import Answer, Asked, History
from tests.properties.policies import POLICIES
from tests.properties.simulation import Simulation
from tests.sidecar.sessions.faults import Fault, answer_lost, request_lost, unavailable
from tests.sidecar.sessions.workers import Worker

EXAMPLES: Final = settings().max_examples * 6 // 10

# Seconds; a soak has many examples, and a call that hangs is found by its own time-out.
pytestmark = pytest.mark.timeout(120 + EXAMPLES)

REPEATS_WITHIN: Final = 8
"""Keyed changes after which a request is not repeated any more: a session remembers sixteen."""

PLACES = st.integers(0, 2)
VERBS = st.sampled_from(
    ["load", "confirm", "insert", "write", "touch", "settle", "discard", "watch", "receive"]
)
WAITS = st.sampled_from([0, 1, 10, 100, 1000, 4000, 9000, 15_000, 19_900, 28_000])


class Workers(RuleBasedStateMachine):
    """Clients call workers; calls run on while others begin."""

    sessions: Bundle[int] = Bundle("sessions")

    def __init__(self) -> None:
        super().__init__()
        self.loop = looptime.new_event_loop(noop_cycles=0)
        self.names = 0
        self.repeatable: list[tuple[int, Asked, str]] = []

    @initialize(
        policy=POLICIES,
        names=st.sampled_from(["ab", "abc"]),
        seed=st.integers(0, 2**32),
        is_faulty=st.booleans(),
    )
    def begin(self, policy: Policy, names: str, seed: int, is_faulty: bool) -> None:  # noqa: FBT001
        async def made() -> Simulation:
            simulation = Simulation(policy, names, seed, is_faulty=is_faulty)
            await simulation.open()
            return simulation

        self.simulation = self.loop.run_until_complete(made())
        self.applications = Applications(self.simulation)

    def teardown(self) -> None:
        try:
            if hasattr(self, "simulation"):
                self.loop.run_until_complete(self.simulation.close())
        finally:
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.run_until_complete(asyncio.sleep(0))
            self.loop.close()

    @invariant()
    def nothing_went_wrong(self) -> None:
        if hasattr(self, "simulation"):
            self.simulation.raise_failures()

    # Calls

    @rule(target=sessions, place=PLACES)
    def create(self, place: int) -> int:
        self._run(self.applications.create(self._worker(place), self._name()))
        return len(self.simulation.histories) - 1

    @rule(session=sessions, place=PLACES, data=st.data(), waits=st.booleans())
    def read(self, session: int, place: int, data: st.DataObject, waits: bool) -> None:  # noqa: FBT001
        if asked := self._asked(session, place, data):
            history, worker = self._of(session, place)
            self._call(self.applications.read(history, worker, asked), waits=waits)

    @rule(session=sessions, place=PLACES, data=st.data(), waits=st.booleans())
    def change(self, session: int, place: int, data: st.DataObject, waits: bool) -> None:  # noqa: FBT001
        if asked := self._asked(session, place, data):
            history, worker = self._of(session, place)
            version = None
            if asked.carried is not None and data.draw(st.booleans(), label="if-match"):
                version = asked.carried.hint.version
            call = self.applications.change(history, worker, asked, self._name(), version)
            self._call(call, waits=waits)

    @rule(session=sessions, place=PLACES, data=st.data(), waits=st.booleans())
    def increment(self, session: int, place: int, data: st.DataObject, waits: bool) -> None:  # noqa: FBT001
        if asked := self._asked(session, place, data):
            history, worker = self._of(session, place)
            key = self._name()
            self.repeatable = [*self.repeatable, (session, asked, key)][-REPEATS_WITHIN:]
            self._call(self.applications.increment(history, worker, asked, key), waits=waits)

    @precondition(lambda self: self.repeatable)
    @rule(place=PLACES, data=st.data(), waits=st.booleans())
    def repeat(self, place: int, data: st.DataObject, waits: bool) -> None:  # noqa: FBT001
        session, asked, key = data.draw(st.sampled_from(self.repeatable), label="repeated")
        history, worker = self._of(session, place)
        again = Asked(asked.session_id, worker.name, self.simulation.clock.now(), asked.carried)
        self._call(self.applications.increment(history, worker, again, key), waits=waits)

    @rule(session=sessions, place=PLACES, data=st.data(), waits=st.booleans())
    def renew(self, session: int, place: int, data: st.DataObject, waits: bool) -> None:  # noqa: FBT001
        if asked := self._asked(session, place, data):
            history, worker = self._of(session, place)
            call = self.applications.renew(history, worker, asked, self._name())
            self._call(call, waits=waits)

    @rule(session=sessions, place=PLACES, data=st.data(), waits=st.booleans())
    def complete(self, session: int, place: int, data: st.DataObject, waits: bool) -> None:  # noqa: FBT001
        if asked := self._asked(session, place, data):
            history, worker = self._of(session, place)
            self._call(self.applications.complete(history, worker, asked), waits=waits)

    @rule(session=sessions, place=PLACES, data=st.data(), waits=st.booleans())
    def end(self, session: int, place: int, data: st.DataObject, waits: bool) -> None:  # noqa: FBT001
        if asked := self._asked(session, place, data):
            history, worker = self._of(session, place)
            self._call(self.applications.end(history, worker, asked.session_id), waits=waits)

    # What happens besides

    @rule(milliseconds=WAITS)
    def wait(self, milliseconds: int) -> None:
        self._run(asyncio.sleep(milliseconds / 1000))

    @rule(session=sessions, before=st.sampled_from([1, 50, 1500]), after=st.sampled_from([1, 60]))
    def use_at_the_last_moment(self, session: int, before: int, after: int) -> None:
        """An access just before the session would expire, then one elsewhere just after."""
        if session < 0:
            return
        history = self.simulation.histories[session]
        clock = self.simulation.clock
        left = history.accessed_from + history.policy.max_idle_ms - before - clock.now()
        self.wait(max(0, left))
        for worker in (self._worker(1), self._worker(0)):
            asked = Asked(history.ids[-1], worker.name, clock.now())
            self._call(self.applications.read(history, worker, asked), waits=True)
            self.wait(before + after)

    @rule(session=sessions, place=PLACES)
    def evict(self, session: int, place: int) -> None:
        if session < 0:
            return
        history, worker = self._of(session, place)
        for session_id in history.ids:
            if entry := worker.copy_of(session_id):
                self._call(self.applications.evict(worker, entry), waits=False)

    @precondition(lambda self: self.simulation.is_faulty)
    @rule(
        place=PLACES,
        verb=VERBS,
        times=st.integers(1, 3),
        fault=st.sampled_from([answer_lost, request_lost, unavailable, None]),
    )
    def lose(self, place: int, verb: str, times: int, fault: Fault | None) -> None:
        link = self._worker(place).link
        link.plan(verb, fault or self.simulation.late, times=times)

    @precondition(lambda self: self.simulation.is_faulty)
    @rule(place=PLACES)
    def cut(self, place: int) -> None:
        self._worker(place).link.is_cut = True

    @precondition(lambda self: self.simulation.is_faulty)
    @rule(place=PLACES)
    def mend(self, place: int) -> None:
        self._worker(place).link.is_cut = False

    @precondition(lambda self: self.simulation.is_faulty and len(self.simulation.workers) > 1)
    @rule(place=PLACES)
    def crash(self, place: int) -> None:
        self.simulation.crash(self._worker(place))

    # How rules are carried out

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self.loop.run_until_complete(work)

    def _call(self, call: Coroutine[Any, Any, None], *, waits: bool) -> None:
        async def started() -> None:
            task = self.simulation.start(call)
            if waits:
                await asyncio.wait([task])

        self._run(started())

    def _name(self) -> str:
        self.names += 1
        return f"n{self.names}"

    def _worker(self, place: int) -> Worker:
        workers = self.simulation.workers
        return workers[place % len(workers)]

    def _of(self, session: int, place: int) -> tuple[History, Worker]:
        return self.simulation.histories[session], self._worker(place)

    def _asked(self, session: int, place: int, data: st.DataObject) -> Asked | None:
        """A call for one of the session's ids, mostly the newest, with a hint or without."""
        if session < 0:
            return None
        history, worker = self._of(session, place)
        age = data.draw(st.sampled_from([0, 0, 0, 1, 2]), label="age of the id")
        session_id = history.ids[max(0, len(history.ids) - 1 - age)]
        answers = [answer for answer in history.answers if answer.session_id == session_id]
        carried = data.draw(_carried(answers), label="carried")
        return Asked(session_id, worker.name, self.simulation.clock.now(), carried)


def _carried(answers: list[Answer]) -> st.SearchStrategy[Answer | None]:
    if not answers:
        return st.none()
    return st.one_of(st.just(answers[-1]), st.none(), st.sampled_from(answers))


TestWorkers = Workers.TestCase
# Fewer than of other properties: each is a story of its own.
TestWorkers.settings = settings(max_examples=EXAMPLES, stateful_step_count=40)
