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
from moorline_sidecar.stores.base import End, Purge, PurgeKind, SessionStore, Touch, Write
from moorline_sidecar.stores.memory import MemoryStore

from tests.contract.backends import BACKENDS
from tests.contract.sessions import T0, a_session, access_of, changed, write_id

Answer = TypeVar("Answer")


class Keyed(Protocol):
    @property
    def key(self) -> str: ...


def _key(keyed: Keyed) -> str:
    return keyed.key


KEYS: Final = ["a", "b", "c", "d"]
OTHERS: Final = [name for name in BACKENDS if name != "memory"]

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
purges = st.builds(Purge, kind=st.sampled_from(PurgeKind), before=times, now=times)
limits = st.integers(1, 4)


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
    @rule(
        data=st.data(),
        contexts=contexts,
        principal=principals,
        max_idle_ms=idles,
        accessed=times,
        expiry=expiries,
        node=nodes,
    )
    def write(  # noqa: PLR0913 - one for each field that changes
        self,
        data: st.DataObject,
        contexts: dict[str, dict[str, int]],
        principal: str | None,
        max_idle_ms: int,
        accessed: int,
        expiry: int | None,
        node: str,
    ) -> None:
        befores = data.draw(
            st.lists(st.sampled_from(self.seen), min_size=1, max_size=3, unique_by=_key)
        )
        writes: list[Write] = [
            changed(
                before,
                contexts={**before.contexts, **contexts},
                principal=principal,
                max_idle_ms=max_idle_ms,
                accessed=accessed,
                expiry=expiry,
                last_node=node,
            )
            for before in befores
        ]
        self.send(writes)

    @precondition(lambda self: self.seen)
    @rule(
        data=st.data(),
        by_version=st.booleans(),
        by_access=st.booleans(),
        now=times,
        reason=st.sampled_from(Reason),
        grace_until=expiries,
    )
    def end(  # noqa: PLR0913 - one for each field that matters
        self,
        data: st.DataObject,
        by_version: bool,  # noqa: FBT001 - drawn
        by_access: bool,  # noqa: FBT001 - drawn
        now: int,
        reason: Reason,
        grace_until: int | None,
    ) -> None:
        seen = data.draw(st.sampled_from(self.seen))
        end = End(
            key=seen.key,
            write_id=write_id(),
            now=now,
            reason=reason,
            version=seen.version if by_version else None,
            access=access_of(seen) if by_access else None,
            renewed_to="d" if reason is Reason.RENEWED else None,
            grace_until=grace_until,
        )
        self.send([end])

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

    @rule(key=keys, origin=keys)
    def discard(self, key: str, origin: str) -> None:
        self.both(lambda store: store.discard(key, origin))

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

    @rule(
        principal=st.sampled_from(["ada", "grace"]), after=st.one_of(st.none(), keys), limit=limits
    )
    def look_for_principal(self, principal: str, after: str | None, limit: int) -> None:
        self.both(lambda store: store.by_principal(principal, after, limit))

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
        known = record.grace if isinstance(record, Tombstone) else record
        if known is not None and known not in self.seen:
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
        opened = BACKENDS[backend](request)
        connect = Compared.runner.run(opened.__aenter__())
        try:
            Compared.real = Compared.runner.run(connect())
            run_state_machine_as_test(
                Compared,
                settings=settings(
                    max_examples=400,
                    stateful_step_count=20,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            Compared.runner.run(opened.__aexit__(None, None, None))
