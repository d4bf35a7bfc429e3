"""The L1 against a plain dict that forgets nothing."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from moorline_sidecar.cache.entry import Entry
from moorline_sidecar.cache.l1 import L1

from tests.sidecar.cache.entries import A_CHANGE, an_entry, weighing

names = st.sampled_from([f"k{n}" for n in range(12)])
weights = st.sampled_from([0, 1, 200, 1_000, 10_000])


class L1Model(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.l1 = L1(1, 1)
        self.put: dict[str, Entry] = {}
        self.puts = 0

    @initialize(most=st.sampled_from([1, 2, 5, 1_000]), limit=st.sampled_from([4_000, 20_000]))
    def start(self, most: int, limit: int) -> None:
        self.l1 = L1(most, limit)

    @rule(name=names, weight=weights, is_unsaved=st.booleans())
    def put_new(self, name: str, weight: int, *, is_unsaved: bool) -> None:
        entry = an_entry(name, weight, is_unsaved=is_unsaved)
        self.l1.put(entry)
        self.put[name] = entry
        self.puts += 1

    @rule(name=names)
    def put_again(self, name: str) -> None:
        if name in self.put:
            self.l1.put(self.put[name])
            self.puts += 1

    @rule(name=names, times=st.integers(1, 4))
    def get(self, name: str, times: int) -> None:
        for _ in range(times):
            found = self.l1.get(name)
            assert found is self.l1.peek(name)
            assert found is None or found is self.put[name]

    @rule(name=names, weight=weights)
    def hold(self, name: str, weight: int) -> None:
        """What an evicted entry holds does not matter to the L1, either."""
        if name in self.put:
            entry = self.put[name]
            before = entry.size
            session = weighing(name, weight)
            entry.hold(session, session)
            self.l1.resized(entry, before)

    @rule(name=names)
    def change(self, name: str) -> None:
        """A change that waits to be saved, to an entry that the L1 holds."""
        entry = self.l1.get(name)
        if entry is not None:
            entry.unsaved = [*entry.unsaved, A_CHANGE]

    @rule(name=names)
    def send(self, name: str) -> None:
        """What is being saved is not saved yet."""
        if name in self.put:
            entry = self.put[name]
            entry.sending, entry.unsaved = entry.promised, ()

    @rule(name=names)
    def save(self, name: str) -> None:
        if name in self.put:
            self.put[name].sending = ()
            self.l1.evict()

    @rule(name=names)
    def drop(self, name: str) -> None:
        held = self.l1.peek(name)
        assert self.l1.drop(name) is held
        assert self.l1.peek(name) is None
        self.put.pop(name, None)

    @invariant()
    def holds_nothing_but_what_was_put_last(self) -> None:
        assert all(self.put[entry.key] is entry for entry in self.l1)
        assert len({entry.key for entry in self.l1}) == len(self.l1)

    @invariant()
    def holds_all_that_is_unsaved(self) -> None:
        unsaved = [entry for entry in self.put.values() if not entry.is_evictable]
        assert all(self.l1.peek(entry.key) is entry for entry in unsaved)

    @invariant()
    def accounts_for_every_byte(self) -> None:
        assert self.l1.bytes == sum(entry.size for entry in self.l1)

    @invariant()
    def is_within_its_bounds_unless_all_that_is_left_is_unsaved(self) -> None:
        l1 = self.l1
        is_within = len(l1) <= l1.max_sessions and l1.bytes <= l1.max_bytes
        assert l1.is_over is not is_within
        assert is_within or not any(entry.is_evictable for entry in l1)

    @invariant()
    def counts(self) -> None:
        assert self.l1.added == self.puts
        assert self.l1.high_water >= 0

    def teardown(self) -> None:
        for name in list(self.put):
            self.l1.drop(name)
        assert (len(self.l1), self.l1.bytes) == (0, 0)


L1Model.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestL1AgainstADict = L1Model.TestCase
