"""Changes: merged while a write is under way, guarded by version, applied exactly once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

import structlog
from msgspec import Struct, structs

from moorline_sidecar.cache.entry import Entry, detached
from moorline_sidecar.domain.changes import content_size, stamped
from moorline_sidecar.domain.ids import Hint
from moorline_sidecar.domain.merging import (
    Asked,
    Merge,
    Verdict,
    clashes,
    compacted,
    merge,
    rebased,
)
from moorline_sidecar.domain.serials import Serial, numbered
from moorline_sidecar.domain.session import Session, Tombstone
from moorline_sidecar.errors import (
    AlreadyExists,
    MoorlineError,
    OutcomeUnknown,
    Overloaded,
    Refusal,
    SessionEnded,
    StoreUnavailable,
    TooLarge,
    VersionConflict,
)
from moorline_sidecar.sessions.certainty import insert_late, write_surely
from moorline_sidecar.sessions.core import Core
from moorline_sidecar.sessions.ending import Ending, new_write_id
from moorline_sidecar.sessions.finding import Finding
from moorline_sidecar.sessions.lanes import Lanes
from moorline_sidecar.stores.base import Change, Outcome

WRITE_MS: Final = 5_000
"""How long a change may lose against other workers, before it is refused as overloaded."""

CONTENDED_MS: Final = 1_000
"""For how long after a conflict this worker leaves gaps between its writes of that session."""

GAP_MAX_MS: Final = 200

BACKOFF_MAX_SECONDS: Final = 0.03

QUEUED_MAX: Final = 1_024
"""Changes that wait behind one write of a session; they become one write, but each has a client."""

KeepDoubtful: TypeAlias = Callable[[Entry, Sequence[Asked]], Awaitable[None]]
"""Keeps changes of unknown outcome until the store is back.

Raises:
    Overloaded: it has no room.
"""

log = structlog.get_logger(__name__)


class Job(Struct, eq=False):
    """A change that waits for its write; `record` is what came of it, in `entry` at that moment.

    `is_written` is false for what had been done before, or changes nothing.
    """

    asked: Asked
    hint: Hint | None
    entry: Entry | None = None
    record: Session | None = None
    error: MoorlineError | None = None
    is_written: bool = False

    @property
    def is_done(self) -> bool:
        return self.record is not None or self.error is not None


class Writing:
    """Brings changes to the store."""

    def __init__(self, core: Core, lanes: Lanes[Job], finding: Finding, ending: Ending) -> None:
        self._core = core
        self._lanes = lanes
        self._finding = finding
        self._ending = ending
        self.keep_doubtful: KeepDoubtful | None = None

    async def change(self, key: str, asked: Asked, hint: Hint | None) -> tuple[Entry, bool]:
        """The entry after the change, which is durable, and whether it was written just now.

        Raises:
            Refusal: nothing was changed.
            StoreUnavailable: surely not applied.
            OutcomeUnknown: perhaps applied.
        """
        if self._lanes.queued(key) >= QUEUED_MAX:
            self._core.counters.overloads += 1
            raise Overloaded
        job = Job(asked, hint)
        self._lanes.queue(key, job)
        async with self._lanes.hold(key):
            if not job.is_done:
                await self._work_off(key, self._lanes.take(key))
        if job.error is not None:
            raise job.error
        if job.entry is None or job.record is None:
            raise OutcomeUnknown
        # Others may have gone on with the session since: the answer is about this change.
        # One that is kept is told as unsaved, with what came after it.
        is_current = job.entry.record is job.record or key in self._core.journal.keys
        return (job.entry if is_current else detached(job.record)), job.is_written

    async def save(self, key: str) -> None:
        """Write what is unsaved of a session.

        Raises:
            SessionEnded, SessionUnknown: it is over, and what was unsaved with it.
            StoreError, Refusal: it stays unsaved.
        """
        async with self._lanes.hold(key):
            await self.write_out(key)

    async def write_out(self, key: str) -> None:
        """Write what is unsaved; for those who hold the lane."""
        if key in self._core.unsaved:
            await self._write(key, [])

    async def _work_off(self, key: str, jobs: list[Job]) -> None:
        """Give every job its entry or its error."""
        try:
            while waiting := [job for job in jobs if not job.is_done]:
                await self._write(key, waiting)
        except MoorlineError as error:
            _fail(jobs, error)
        except BaseException:
            _fail(jobs, OutcomeUnknown())
            raise

    async def _write(self, key: str, jobs: Sequence[Job]) -> None:
        """One merged write, repeated until no other worker is faster."""
        until = self._core.clock.monotonic() + WRITE_MS
        is_fresh = await self._insert_kept(key)
        attempt = 0
        while True:
            asked_at = self._core.clock.monotonic()
            base = await self._base(key, jobs, is_fresh=is_fresh)
            stored = base.stored
            assert isinstance(stored, Session)  # noqa: S101 what `_base` promises
            merged = merge(
                stored,
                [job.asked for job in jobs],
                self._core.policy.max_session_bytes,
                base.unsaved,
            )
            is_written = merged.content is not stored
            if not is_fresh and (merged.has_refusals or not is_written):
                # A stale copy must not decide about what the store then does not check.
                is_fresh = True
                continue
            if not is_written and base.unsaved:
                # All of it had been written before, as its idempotency keys show.
                base.unsaved, base.unsaved_count = (), 0
                self._core.note_unsaved(base)
                self._core.hold(base, stored, stored)
            record = base.record
            if is_written:
                serial, unsaved = self._serial(base), base.unsaved
                try:
                    after = await self._send(base, merged.content, jobs, serial)
                except OutcomeUnknown:
                    if not await self._keep_sent(base, jobs, merged, serial):
                        raise
                    return
                if after is None:
                    await self._back_off(attempt, until)
                    attempt += 1
                    is_fresh = True
                    continue
                self._note_clashes(stored, after, unsaved)
                base = self._learn(after, asked_at)
                record = base.record if base.stored is after else after
            assert isinstance(record, Session)  # noqa: S101 found alive, or just written
            _hand_out(base, record, jobs, merged)
            await self._leave_gap(base, asked_at)
            return

    async def _base(self, key: str, jobs: Sequence[Job], *, is_fresh: bool) -> Entry:
        """An entry whose session is alive, asked for anew where `is_fresh`.

        Any copy will do for a start: the guard finds out if it is stale.
        """
        entry = None if is_fresh else self._core.l1.peek(key)
        if entry is None:
            entry = await self._finding.fetch(key)
        if isinstance(entry.stored, Tombstone):
            raise SessionEnded(entry.stored.reason)
        hints = [job.hint for job in jobs] or [None]
        if all(self._core.is_over(entry, hint) for hint in hints):
            entry = await self._ending.expire(entry, hints[0])
        if isinstance(entry.stored, Tombstone):
            raise SessionEnded(entry.stored.reason)
        return entry

    def _learn(self, after: Session, asked_at: int) -> Entry:
        """The entry after a write of this worker; it may hold more than that by now."""
        entry = self._core.learn(after, asked_at)
        if isinstance(entry.stored, Session) and entry.stored is not after:
            self._core.hold(entry, entry.stored, rebased(entry.stored, entry.promised))
        return entry

    async def _insert_kept(self, key: str) -> bool:
        """Store a session that was created in an outage; whether there is one to be loaded."""
        created = self._core.journal.creates.get(key)
        if created is None:
            return False
        try:
            await insert_late(self._core, created)
            self._core.counters.created += 1
        except AlreadyExists:
            # By an earlier try, whose answer was lost; others may have gone on with it since.
            pass
        self._core.journal.creates.pop(key, None)
        return True

    def _serial(self, base: Entry) -> Serial | None:
        """A number for the write, if it may have to be repeated after an outage."""
        core = self._core
        if core.buffers or base.key in core.journal.keys:
            return core.journal.next_serial()
        return None

    async def _keep_sent(
        self, base: Entry, jobs: Sequence[Job], merged: Merge, serial: Serial | None
    ) -> bool:
        """Keep what was sent, and is applied perhaps, until the store is back; whether it can be.

        The number says then whether all of it is there already.
        """
        core = self._core
        if self.keep_doubtful is None or serial is None or not core.buffers:
            return False
        if not jobs or not all(job.asked.can_be_kept for job in jobs):
            return False
        sent = [
            structs.replace(job.asked, serial=serial, is_sealed=True)
            for job, verdict in zip(jobs, merged.verdicts, strict=True)
            if verdict is Verdict.MERGED
        ]
        try:
            await self.keep_doubtful(base, sent)
        except Overloaded:
            return False
        entry = core.l1.peek(base.key) or base
        if isinstance(entry.record, Session):
            _hand_out(entry, entry.record, jobs, merged)
        return True

    def _note_clashes(self, stored: Session, after: Session, unsaved: Sequence[Asked]) -> None:
        """Count attributes that were changed here in an outage and elsewhere: ours come later."""
        keys = self._core.journal.keys
        before = keys.get(stored.key)
        if before is not None:
            keys[stored.key] = after
            found = clashes(before, stored, unsaved)
            self._core.counters.replay_conflicts += found
            if found:
                log.warning("kept changes met others made elsewhere", attributes=found)

    async def _send(
        self, base: Entry, content: Session, jobs: Sequence[Job], serial: Serial | None
    ) -> Session | None:
        """The session as written; None if it is not what `base` holds (any more)."""
        core = self._core
        stored = base.stored
        assert isinstance(stored, Session)  # noqa: S101 what `_base` promises
        after = stamped(
            content,
            version=stored.version + 1,
            write_id=new_write_id(),
            policy=core.policy,
            times=base.times,
            now=core.clock.now(),
            is_access=bool(jobs),
        )
        if serial is not None:
            after = numbered(after, serial)
        after = structs.replace(after, cookie_set=max(after.cookie_set, base.cookie_set))
        # What is deferred from now on is not in this write.
        base.sending, base.unsaved = base.unsaved, ()
        sent_count = base.unsaved_count
        try:
            outcome = await write_surely(
                core,
                Change(before=stored, after=after),
                may_stay_unknown=core.buffers and all(job.asked.can_be_kept for job in jobs),
            )
        except (StoreUnavailable, Refusal):
            self._keep_unsaved(base)
            raise
        except BaseException:
            base.sending = _sealed(base.sending, serial)
            self._keep_unsaved(base)
            raise
        match outcome:
            case Outcome.APPLIED:
                base.sending = ()
                base.unsaved_count -= sent_count
                core.note_unsaved(base)
                return after
            case Outcome.CONFLICT:
                core.counters.conflicts += 1
                base.contended_until = core.clock.monotonic() + CONTENDED_MS
        self._keep_unsaved(base)
        if outcome is Outcome.TOO_LARGE:
            raise TooLarge(content_size(content.contexts), core.policy.max_session_bytes)
        return None

    def _keep_unsaved(self, entry: Entry) -> None:
        """What was not saved waits for the next write, before what came meanwhile."""
        entry.unsaved = compacted(entry.promised)
        entry.sending = ()
        self._core.note_unsaved(entry)

    async def _leave_gap(self, entry: Entry, asked_at: int) -> None:
        """Let another worker have a session that both write all the time.

        Who has just written knows the newest version and would win again and again, while the other
        one loads it: a gap as long as a load and a write lets them take turns.
        """
        now = self._core.clock.monotonic()
        if now < entry.contended_until and self._lanes.is_wanted(entry.key):
            await asyncio.sleep(min(2 * (now - asked_at), GAP_MAX_MS) / 1000)

    async def _back_off(self, attempt: int, until: int) -> None:
        """Let the other worker finish; the first retry is at once.

        Raises:
            Overloaded: it is over; what was asked is surely not applied.
        """
        if self._core.clock.monotonic() >= until:
            raise Overloaded
        if attempt:
            await asyncio.sleep(random.uniform(0, min(BACKOFF_MAX_SECONDS, 0.002 * 2**attempt)))  # noqa: S311 jitter


def _hand_out(entry: Entry, record: Session, jobs: Sequence[Job], merged: Merge) -> None:
    """Tell every job what became of it; those that must wait for another write stay undone."""
    for job, verdict in zip(jobs, merged.verdicts, strict=True):
        match verdict:
            case Verdict.LATER:
                continue
            case VersionConflict():
                job.error = VersionConflict(entry)
            case Refusal():
                job.error = verdict
            case Verdict.REPLAYED | Verdict.MERGED:
                job.entry = entry
                job.record = record
                job.is_written = verdict is Verdict.MERGED and not job.asked.patch.is_empty


def _sealed(sent: Sequence[Asked], serial: Serial | None) -> list[Asked]:
    """What is in the store perhaps; the number of its write says so later."""
    if serial is None:
        return list(sent)
    return [structs.replace(ask, serial=ask.serial or serial, is_sealed=True) for ask in sent]


def _fail(jobs: Sequence[Job], error: MoorlineError) -> None:
    for job in jobs:
        if not job.is_done:
            job.error = error
