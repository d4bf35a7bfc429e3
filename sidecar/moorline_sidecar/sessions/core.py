"""What all use cases share: the policy, the store, the L1, the clock and the counters."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import Any, Final

from moorline_api import CacheMode, OnOutage
from msgspec import structs

from moorline_sidecar.cache.entry import Entry, times_of
from moorline_sidecar.cache.l1 import L1
from moorline_sidecar.domain.ids import Hint
from moorline_sidecar.domain.merging import Asked, Verdict, compacted, merge, rebased
from moorline_sidecar.domain.policies import Policy, expiry_of, is_expired
from moorline_sidecar.domain.session import Mark, Record, Session, Tombstone
from moorline_sidecar.errors import Overloaded, Refusal, SessionEnded, StoreUnavailable
from moorline_sidecar.hot import Standing, Times
from moorline_sidecar.sessions.availability import Availability
from moorline_sidecar.sessions.batching import Batcher
from moorline_sidecar.sessions.clock import Clock
from moorline_sidecar.sessions.counters import Counters
from moorline_sidecar.sessions.coverage import Coverage
from moorline_sidecar.sessions.journal import Journal
from moorline_sidecar.stores.base import Outcome, SessionStore, Write

STEP_SESSIONS: Final = 500
"""Evicted in one go when the L1 is to shrink: a few milliseconds in which nobody is served."""

STEP_BYTES: Final = STEP_SESSIONS << 11
"""As many sessions of the usual 2 KiB."""

WRITE_CALLS_READY: Final = 2
"""A call that writes costs both sides much more than one more write in it."""


class Core:
    """The state of a worker; `spawn` owns its background tasks."""

    def __init__(
        self, store: SessionStore, policy: Policy, clock: Clock, journal: Journal | None = None
    ) -> None:
        self.store = store
        self.journal = journal or Journal()
        self.policy = policy
        self.clock = clock
        self.counters = Counters()
        self.standing = Standing()
        self.coverage = Coverage(self.standing)
        self.availability = Availability(store, clock, self.counters, self.standing)
        self.l1 = L1(policy.cache_sessions, policy.cache_bytes)
        self.caches = policy.cache_mode is CacheMode.ENABLED
        self.unwritten: dict[str, Times] = {}
        """Times of accesses that the store does not hold yet, also of evicted sessions."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loads: Batcher[str, Record | None] = Batcher(
            self._load_batch, self.spawn, overloaded=self._overloaded
        )
        self._confirms: Batcher[str, Mark | None] = Batcher(
            self._confirm_batch, self.spawn, overloaded=self._overloaded
        )
        self._writes: Batcher[Write, Outcome] = Batcher(
            self._write_batch,
            self.spawn,
            ready=WRITE_CALLS_READY,
            overloaded=self._overloaded,
        )
        self.unsaved: dict[str, Entry] = {}
        """Entries with changes that the store does not hold yet, the oldest first."""
        self.unsaved_bytes = 0
        self.availability.on_loss = self._refuse_waiting
        self._policy_changed = asyncio.Event()

    @property
    def buffers(self) -> bool:
        """Whether changes are kept while the store is away; without an L1 nothing could be."""
        return self.policy.on_outage is OnOutage.BUFFER and self.caches

    def counted(self) -> Counters:
        """A copy of the counters, with the hits that `hot` counts apart: `counters` lacks these."""
        return replace(self.counters, hits=self.counters.hits + self.standing.hits)

    def follow(self, policy: Policy) -> None:
        """Go by another policy: all decisions from now on, and the bounds of the L1."""
        self.policy = policy
        self.l1.names.clear()
        self._approach_bounds()
        self._policy_changed.set()
        self._policy_changed = asyncio.Event()

    def _approach_bounds(self) -> None:
        """Bring the L1 to the bounds of the policy, in steps between which others are served."""
        l1, policy = self.l1, self.policy
        sessions = min(l1.max_sessions, len(l1)) - STEP_SESSIONS
        size = min(l1.max_bytes, l1.bytes) - STEP_BYTES
        l1.resize(max(policy.cache_sessions, sessions), max(policy.cache_bytes, size))
        if (l1.max_sessions, l1.max_bytes) != (policy.cache_sessions, policy.cache_bytes):
            asyncio.get_running_loop().call_soon(self._approach_bounds)

    async def pause(self, seconds: float | None) -> bool:
        """Wait so long, None for ever, or until there is another policy; whether there is."""
        changed = self._policy_changed
        try:
            async with asyncio.timeout(seconds):
                await changed.wait()
        except TimeoutError:
            return False
        return True

    def spawn(self, work: Awaitable[Any]) -> asyncio.Task[Any]:
        """Run `work` to its end; `drain` waits for it."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def drain(self) -> None:
        """Wait until nothing spawned is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    # What the store says

    def check(self, key: str, *, successor: str | None = None) -> None:
        """Raise StoreUnavailable while the outage lasts, but SessionEnded for a known end.

        The end of a session that was renewed to the `successor` is none here.
        """
        entry = self.l1.peek(key)
        if entry is not None and isinstance(entry.record, Tombstone):
            tombstone = entry.record
            if successor is None or tombstone.renewed_to != successor:
                raise SessionEnded(tombstone.reason)
        self.availability.check()

    async def load(self, key: str) -> Record | None:
        """The record as the store holds it now, asked after this call began."""
        self.availability.check()
        return await self._loads.submit(key, key)

    async def confirm(self, key: str) -> Mark | None:
        """The mark as the store holds it now, asked after this call began."""
        self.availability.check()
        return await self._confirms.submit(key, key)

    async def write(self, write: Write) -> Outcome:
        """What became of the write, sent together with others; never two of a key at once."""
        self.availability.check()
        return await self._writes.submit_alone(write.key, write)

    async def _load_batch(self, keys: Sequence[str]) -> list[Record | None]:
        self.counters.loads += len(keys)
        self.counters.load_batches += 1
        records = await self.availability.ask("load", lambda: self.store.load(keys))
        return [records.get(key) for key in keys]

    async def _confirm_batch(self, keys: Sequence[str]) -> list[Mark | None]:
        self.counters.load_batches += 1
        marks = await self.availability.ask("confirm", lambda: self.store.confirm(keys))
        return [marks.get(key) for key in keys]

    async def _write_batch(self, writes: Sequence[Write]) -> list[Outcome]:
        self.counters.writes += len(writes)
        self.counters.write_batches += 1
        return await self.availability.call("write", lambda: self.store.write(writes))

    def _overloaded(self) -> Overloaded:
        self.counters.overloads += 1
        return Overloaded()

    def _refuse_waiting(self) -> None:
        """What has not been sent when the outage begins surely is not applied."""
        for batcher in (self._loads, self._confirms, self._writes):
            batcher.refuse_waiting(StoreUnavailable())

    # What the L1 holds

    def learn(self, stored: Record, asked_at: int) -> Entry:
        """The entry that holds what the store showed to a call that began at `asked_at`.

        An entry never goes back: what is older than what it holds is left aside, and a tombstone
        stays. The same version by another write is of another life of the key: the later one holds.
        """
        entry = self.l1.peek(stored.key)
        if entry is None:
            entry = Entry(stored, self._times_of(stored), asked_at)
            self.coverage.judge(entry, asked_at)
            if self.caches:
                self.l1.put(entry)
            return entry
        if isinstance(entry.stored, Tombstone):
            return entry
        if isinstance(stored, Tombstone):
            return self.hold(entry, stored, stored)
        if stored.version >= entry.stored.version:
            is_other = stored.write_id != entry.stored.write_id and asked_at >= entry.confirmed_at
            if is_other:
                entry.times.deadline = stored.deadline
            merge_times(entry.times, stored)
            if stored.version > entry.stored.version or is_other:
                self.hold(entry, stored, rebased(stored, entry.promised))
            entry.confirm(asked_at)
        return entry

    def hold(self, entry: Entry, stored: Record, record: Record) -> Entry:
        """Give an entry a new record."""
        before = entry.size
        entry.hold(stored, record)
        if isinstance(record, Tombstone):
            self.unwritten.pop(entry.key, None)
            self._lose_unsaved(entry)
        self.l1.resized(entry, before)
        return entry

    def bury(self, tombstone: Tombstone) -> None:
        """Hold the tombstone of a session that this worker ended.

        A load that was under way may still bring the live session: the tombstone outlasts it.
        """
        entry = self.l1.peek(tombstone.key)
        if entry is None:
            self.learn(tombstone, self.clock.monotonic())
        else:
            self.hold(entry, tombstone, tombstone)

    def is_over(self, entry: Entry, hint: Hint | None) -> bool:
        """Whether this worker calls the entry's live session expired."""
        times = entry.times
        now = self.clock.now()
        if not is_expired(self.policy, times, hint, now):
            return False
        if times.deadline is not None and times.deadline <= now:
            return True
        return not self.availability.is_quiet or entry.is_over_locally

    def forget(self, key: str) -> None:
        """Drop what is known of a key, unwritten times too; not if the store is yet to learn it."""
        if key in self.journal.creates:
            return
        self.unwritten.pop(key, None)
        entry = self.l1.drop(key)
        if entry is not None:
            self._lose_unsaved(entry)

    def keeps_end(self, key: str) -> bool:
        """Whether the end of a session, or of what it was renewed to, is yet to be stored."""
        ends = self.journal.ends
        following: str | None = key if ends else None
        while following is not None and following not in ends:
            entry = self.l1.peek(following)
            record = None if entry is None else entry.record
            following = record.renewed_to if isinstance(record, Tombstone) else None
        return following is not None

    def defer(self, entry: Entry, asked: Asked, record: Session) -> None:
        """Serve a change from here that is to be saved later."""
        entry.unsaved = compacted([*entry.unsaved, asked])
        entry.unsaved_count += 1
        self.note_unsaved(entry)
        if self.l1.peek(entry.key) is None:
            self.l1.put(entry)
        self.hold(entry, entry.stored, record)

    def note_unsaved(self, entry: Entry) -> None:
        """Account for changes of an entry that have come, or have been saved or lost."""
        size = sum(ask.patch.size for ask in entry.promised)
        self.unsaved_bytes += size - entry.unsaved_bytes
        entry.unsaved_bytes = size
        if entry.is_evictable:
            self.unsaved.pop(entry.key, None)
        elif entry.key not in self.unsaved:
            entry.unsaved_since = self.clock.monotonic()
            self.unsaved[entry.key] = entry

    def give_up(self, entry: Entry) -> None:
        """Serve what is stored again, without what is unsaved; nothing of it is under way."""
        self._lose_unsaved(entry)
        self.hold(entry, entry.stored, entry.stored)

    def _lose_unsaved(self, entry: Entry) -> None:
        """The session is over: whoever changed it last was told that it was not saved yet."""
        self.counters.lost_changes += entry.unsaved_count
        entry.unsaved_count = 0
        entry.unsaved, entry.sending = (), ()
        self.note_unsaved(entry)

    def _times_of(self, stored: Record) -> Times:
        times = self.unwritten.get(stored.key)
        if times is None or isinstance(stored, Tombstone):
            return times_of(stored)
        merge_times(times, stored)
        return times


def merge_times(times: Times, stored: Session | Mark) -> None:
    """Take in what the store holds; the own access stays if it is newer."""
    times.calm_until = 0
    times.stored_accessed = stored.accessed
    times.stored_expiry = stored.expiry
    times.stored_node = stored.last_node
    if stored.accessed > times.own_accessed:
        times.own_accessed = stored.accessed
        times.own_last_accessed = stored.last_accessed
        times.own_expiry = stored.expiry
    if stored.max_idle_ms != times.max_idle_ms:
        times.max_idle_ms = stored.max_idle_ms
        times.own_expiry = expiry_of(times.own_accessed, stored.max_idle_ms, times.deadline)


def live_session(entry: Entry) -> Session:
    """The session of an entry, unless it has ended while somebody waited.

    Raises:
        SessionEnded: it has.
    """
    record = entry.record
    if isinstance(record, Tombstone):
        raise SessionEnded(record.reason)
    return record


def changed_session(entry: Entry, asked: Asked, max_bytes: int) -> Session | None:
    """What a change makes of a live session; None if it changes nothing.

    Raises:
        Refusal: it cannot be made; `SessionEnded` is one.
    """
    session = live_session(entry)
    merged = merge(session, [asked], max_bytes)
    verdict = merged.verdicts[0]
    if isinstance(verdict, Refusal):
        raise verdict
    if verdict is Verdict.REPLAYED or merged.content is session:
        return None
    return merged.content


def served_session(entry: Entry) -> Session | None:
    """The live session of an entry with the times that this worker knows; None for a tombstone."""
    record = entry.record
    if isinstance(record, Tombstone):
        return None
    times = entry.times
    return structs.replace(
        record,
        accessed=times.own_accessed,
        last_accessed=times.own_last_accessed,
        expiry=times.own_expiry,
    )
