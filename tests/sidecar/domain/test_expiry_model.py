"""Two workers, one store and one browser: idle expiry is never early and at most slack late."""

from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from moorline_sidecar.cache.entry import times_of
from moorline_sidecar.domain.ids import Hint
from moorline_sidecar.domain.policies import (
    Policy,
    expiry_of,
    is_expired,
    is_urgent,
    slack,
    touch_period,
)
from moorline_sidecar.domain.session import Session
from moorline_sidecar.hot import Times
from moorline_sidecar.sessions.core import merge_times
from msgspec import structs

from tests.contract.sessions import T0, a_session
from tests.sidecar.domain.facts import HERE, MINUTE, SECOND, THERE, a_policy

WORKERS: Final = (HERE, THERE)

# Parts of maxIdle that pass between two steps: the moments around an expiry matter.
waits = st.sampled_from([0.0, 0.01, 0.1, 0.3, 0.79, 0.81, 0.99, 1.0, 1.01])
idles = st.sampled_from([20 * SECOND, MINUTE, 30 * MINUTE])
places = st.sampled_from(WORKERS)


class World:
    """The store's times of one session, and what two workers know of them."""

    def __init__(self, max_idle_ms: int, flush_delay_ms: int) -> None:
        self.policies = {name: a_policy(worker=name) for name in WORKERS}
        self.max_idle_ms = max_idle_ms
        self.flush_delay_ms = flush_delay_ms
        self.now = T0
        self.stored = a_session(max_idle_ms=max_idle_ms, expiry=T0 + max_idle_ms, last_node=HERE)
        self.copies: dict[str, Times] = {HERE: times_of(self.stored)}
        self.due: dict[str, int] = {}
        self.hint = Hint(1, HERE)
        self.last_access = T0
        self.crashed: set[str] = set()
        self.is_over = False

    @property
    def expiry(self) -> int:
        return self.last_access + self.max_idle_ms

    @property
    def slack(self) -> int:
        return slack(self.policies[HERE], self.max_idle_ms)

    def wait(self, milliseconds: int) -> None:
        until = self.now + milliseconds
        while self.due and min(self.due.values()) <= until:
            name = min(self.due, key=lambda each: self.due[each])
            self.now = self.due.pop(name)
            self._write(name)
        self.now = until

    def access(self, name: str) -> None:
        """The browser's next request comes to this worker."""
        times = self.copies.setdefault(name, times_of(self.stored))
        if self.hint.worker != name:
            merge_times(times, self.stored)
        if is_expired(self.policies[name], times, self.hint, self.now):
            self._end()
            return
        assert self.now <= self.expiry + self.slack, "an access came too late, and was served"
        times.own_last_accessed, times.own_accessed = times.own_accessed, self.now
        times.own_expiry = expiry_of(self.now, self.max_idle_ms, None)
        self.hint, self.last_access = Hint(1, name), self.now
        period = touch_period(self.policies[name], self.max_idle_ms)
        if is_urgent(times, period):
            self.due.pop(name, None)
            self._write(name)
        elif name not in self.due and times.own_accessed > times.stored_accessed:
            self.due[name] = max(self.now, times.stored_accessed + period) + self.flush_delay_ms
            self.wait(0)

    def crash(self, name: str) -> None:
        """With all that it has not written; the other one serves what comes now."""
        self.copies.pop(name, None)
        self.due.pop(name, None)
        self.crashed.add(name)

    def scavenge(self, name: str) -> None:
        """Without a hint; but an ending write is guarded by the times it was decided by."""
        times = self.copies.get(name)
        if times is None or not is_expired(self.policies[name], times, None, self.now):
            return
        stored = self.stored
        known = (times.stored_accessed, times.stored_expiry, times.stored_node)
        if known == (stored.accessed, stored.expiry, stored.last_node):
            self._end()

    def _write(self, name: str) -> None:
        times = self.copies[name]
        if times.own_accessed > self.stored.accessed:
            self.stored = written(self.stored, times, self.policies[name])
        merge_times(times, self.stored)

    def _end(self) -> None:
        assert self.now >= self.expiry, "the session was ended early"
        self.is_over = True

    def find_over(self) -> None:
        """Whoever is asked, when the session has not been used for its time and the slack."""
        self.wait(self.expiry + self.slack + 1 - self.now)
        for name in WORKERS:
            if name not in self.crashed:
                self.access(name)
                assert self.is_over, "the session lives on"


def written(stored: Session, times: Times, policy: Policy) -> Session:
    return structs.replace(
        stored, accessed=times.own_accessed, expiry=times.own_expiry, last_node=policy.worker
    )


@given(
    script=st.lists(
        st.tuples(waits, st.sampled_from(["access", "access", "scavenge"]), places), max_size=25
    ),
    max_idle_ms=idles,
    flush_delay_ms=st.sampled_from([0, 250]),
)
def test_nobody_is_logged_out_early_or_kept_too_long(
    script: list[tuple[float, str, str]], max_idle_ms: int, flush_delay_ms: int
) -> None:
    world = World(max_idle_ms, flush_delay_ms)
    for wait, verb, name in script:
        world.wait(int(wait * max_idle_ms))
        if verb == "access":
            world.access(name)
        else:
            world.scavenge(name)
        if world.is_over:
            return

    world.find_over()


@given(
    before=st.lists(st.tuples(st.sampled_from([0.01, 0.03, 0.05, 0.5, 0.79]), places), max_size=8),
    after=st.sampled_from([0.91, 0.95, 0.99, 1.0, 1.1]),
    max_idle_ms=idles,
)
def test_what_waited_for_its_touch_period_in_a_crashed_worker_logs_nobody_out(
    before: list[tuple[float, str]], after: float, max_idle_ms: int
) -> None:
    world = World(max_idle_ms, flush_delay_ms=0)
    for wait, name in before:
        world.wait(int(wait * max_idle_ms))
        world.access(name)
    assert not world.is_over
    last = world.hint.worker
    world.crash(last)
    world.wait(int(after * max_idle_ms))
    world.access(HERE if last == THERE else THERE)
    if not world.is_over:
        world.find_over()
