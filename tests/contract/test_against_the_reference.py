"""Every store does what the reference does: the same calls, the same answers, the same records."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from moorline_sidecar.domain.session import Reason, Record, Session, Tombstone
from moorline_sidecar.errors import AlreadyExists
from moorline_sidecar.stores.base import Purge, PurgeKind, SessionStore, Touch, Write
from moorline_sidecar.stores.memory import MemoryStore
from msgspec.structs import replace

from tests.contract.backends import COMPARED
from tests.contract.sessions import T0, a_session, access_of, an_end, changed, write_id

Answer = TypeVar("Answer")


class Keyed(Protocol):
    @property
    def key(self) -> str: ...


def _key(keyed: Keyed) -> str:
    return keyed.key


KEYS: Final = ["a", "b", "c", "d"]
OTHERS: Final = [name for name in COMPARED if name != "memory"]

keys = st.sampled_from(KEYS)
times = st.integers(0, 20).map(lambda n: T0 + n)
expiries = st.one_of(st.none(), times)
idles = st.sampled_from([0, 10, 20])
nodes = st.sampled_from(["node0", "node1"])
principals = st.sampled_from([None, "ada", "grace"])
origins = st.sampled_from([None, "a", "b"])
names = st.sampled_from(["x", "y.z", "%2E"])
contexts = st.dictionaries(
    st.sampled_from(["/", "/shop.a"]), st.dictionaries(names, st.integers(0, 3), max_size=3)
)
sessions = st.builds(
    a_session,
    keys,
    created=times,
    accessed=times,
    last_accessed=times,
    max_idle_ms=idles,
    expiry=expiries,
    last_node=nodes,
    last_saved=times,
    principal=principals,
    renew_of=origins,
    contexts=contexts,
    write_id=st.builds(write_id),
)
touches = st.builds(
    Touch,
    key=keys,
    accessed=times,
    last_accessed=times,
    expiry=expiries,
    max_idle_ms=idles,
    last_node=nodes,
    now=times,
)
changes = st.fixed_dictionaries(
    {
        "principal": principals,
        "max_idle_ms": idles,
        "accessed": times,
        "expiry": expiries,
        "last_node": nodes,
    }
)
ends = st.fixed_dictionaries(
    {
        "now": times,
        "reason": st.sampled_from(Reason),
        "renewed_to": st.sampled_from([None, *KEYS]),
        "grace_until": expiries,
    }
)
purges = st.builds(Purge, kind=st.sampled_from(PurgeKind), before=times, now=times)
pages = st.tuples(st.sampled_from(["ada", "grace"]), st.one_of(st.none(), keys), st.integers(1, 4))


class Comparison(RuleBasedStateMachine):
    """`real` and the reference get the same calls; set by the test before a run."""

    runner: asyncio.Runner
    real: SessionStore

    def __init__(self) -> None:
        super().__init__()
        self.reference = MemoryStore(lambda: T0)
        self.seen: list[Session] = []
        """Sessions as they were once, to write on top of: now, or too late."""
        self.sent: list[Write] = []

    @initialize()
    def empty(self) -> None:
        everything = T0 + 1_000_000
        for kind in PurgeKind:
            self.runner.run(self.real.purge(Purge(kind=kind, before=everything, now=everything), 0))
        assert self.runner.run(self.real.load(KEYS)) == {}

    @rule(session=sessions)
    def insert(self, session: Session) -> None:
        self.both(lambda store: _insert(store, session))

    @precondition(lambda self: self.seen)
    @rule(data=st.data(), contexts=contexts, fields=changes)
    def write(
        self,
        data: st.DataObject,
        contexts: dict[str, dict[str, int]],
        fields: dict[str, object],
    ) -> None:
        seen = st.sampled_from(self.seen)
        befores = data.draw(st.lists(seen, min_size=1, max_size=3, unique_by=_key))
        self.send(
            [
                changed(before, contexts={**before.contexts, **contexts}, **fields)
                for before in befores
            ]
        )

    @precondition(lambda self: self.seen)
    @rule(data=st.data(), fields=ends)
    def end(self, data: st.DataObject, fields: dict[str, object]) -> None:
        seen = data.draw(st.sampled_from(self.seen))
        guards = data.draw(
            st.fixed_dictionaries(
                {
                    "version": st.sampled_from([None, seen.version]),
                    "content_id": st.sampled_from(["", seen.write_id]),
                    "access": st.sampled_from([None, access_of(seen)]),
                }
            )
        )
        self.send([an_end(seen.key, **guards, **fields)])

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        self.send([data.draw(st.sampled_from(self.sent))])

    @rule(touches=st.lists(touches, max_size=3, unique_by=_key))
    def touch(self, touches: list[Touch]) -> None:
        self.both(lambda store: store.touch(touches))

    @rule(key=keys, origin=keys)
    def settle(self, key: str, origin: str) -> None:
        self.both(lambda store: store.settle(key, origin))

    @rule(key=keys, origin=keys, version=st.integers(1, 3))
    def discard(self, key: str, origin: str, version: int) -> None:
        self.both(lambda store: store.discard(key, origin, version))

    @rule(before=times)
    def drop_grace(self, before: int) -> None:
        self.both(lambda store: store.drop_grace(before, 10))

    @rule(purge=purges)
    def purge(self, purge: Purge) -> None:
        self.both(lambda store: store.purgeable(purge, 0))
        self.both(lambda store: store.purge(purge, 10))

    @rule(before=times)
    def look_for_expired(self, before: int) -> None:
        real, reference = self.ask(lambda store: store.expired(before, 0))
        assert [found.access.expiry for found in real] == [
            found.access.expiry for found in reference
        ]
        assert sorted(real, key=_key) == sorted(reference, key=_key)

    @rule(before=times)
    def look_for_copies(self, before: int) -> None:
        real, reference = self.ask(lambda store: store.copies(before, 10))
        assert sorted(real, key=_key) == sorted(reference, key=_key)

    @rule(page=pages)
    def look_for_principal(self, page: tuple[str, str | None, int]) -> None:
        self.both(lambda store: store.by_principal(*page))

    @invariant()
    def records_are_the_same(self) -> None:
        real, reference = self.ask(lambda store: store.load(KEYS))
        assert real == reference
        self.both(lambda store: store.confirm(KEYS))
        for record in real.values():
            self.remember(record)

    def send(self, writes: list[Write]) -> None:
        self.sent += writes
        self.both(lambda store: store.write(writes))

    def remember(self, record: Record) -> None:
        known: Record | None = record
        if isinstance(record, Tombstone):
            # What is shown in a grace names no write, which would fit a later life of the key, too.
            known = record.grace and replace(record.grace, write_id="of a grace")
        if isinstance(known, Session) and known not in self.seen:
            self.seen.append(known)

    def both(self, call: Callable[[SessionStore], Awaitable[object]]) -> None:
        real, reference = self.ask(call)
        assert real == reference

    def ask(self, call: Callable[[SessionStore], Awaitable[Answer]]) -> tuple[Answer, Answer]:
        async def answers() -> tuple[Answer, Answer]:
            return await call(self.real), await call(self.reference)

        return self.runner.run(answers())


async def _insert(store: SessionStore, session: Session) -> str:
    try:
        await store.insert(session)
    except AlreadyExists:
        return "exists"
    return "inserted"


@pytest.mark.parametrize("backend", OTHERS)
def test_a_store_does_what_the_reference_does(backend: str, request: pytest.FixtureRequest) -> None:
    class Compared(Comparison):
        pass

    with asyncio.Runner() as Compared.runner:
        opened = COMPARED[backend](request)
        connect = Compared.runner.run(opened.__aenter__())
        try:
            Compared.real = Compared.runner.run(connect())
            run_state_machine_as_test(
                Compared,
                settings=settings(
                    max_examples=30,
                    stateful_step_count=20,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            Compared.runner.run(opened.__aexit__(None, None, None))
