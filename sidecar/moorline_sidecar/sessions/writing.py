"""Changes: merged while a write is under way, guarded by version, applied exactly once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from moorline_sidecar.cache.entry import Entry, detached
from moorline_sidecar.domain.changes import content_size, stamped
from moorline_sidecar.domain.ids import Hint
from moorline_sidecar.domain.merging import Asked, Merge, Verdict, compacted, merge
from moorline_sidecar.domain.session import Session, Tombstone
from moorline_sidecar.errors import (
    MoorlineError,
    OutcomeUnknown,
    Overloaded,
    Refusal,
    SessionEnded,
    TooLarge,
    VersionConflict,
)
from moorline_sidecar.sessions.certainty import write_surely
from moorline_sidecar.sessions.core import Core
from moorline_sidecar.sessions.ending import Ending, new_write_id
from moorline_sidecar.sessions.finding import Finding
from moorline_sidecar.sessions.lanes import Lanes
from moorline_sidecar.stores.base import Change, Outcome

WRITE_MS: Final = 2_500
"""How long a change may lose against other workers; with the write under way within 3 s."""

BACKOFF_MAX_SECONDS: Final = 0.03


class Job(Struct, eq=False):
    """A change that waits for its write; `record` is what came of it, in `entry` at that moment."""

    asked: Asked
    hint: Hint | None
    entry: Entry | None = None
    record: Session | None = None
    error: MoorlineError | None = None

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

    async def change(self, key: str, asked: Asked, hint: Hint | None) -> Entry:
        """The entry after the change, which is durable.

        Raises:
            Refusal: nothing was changed.
            StoreUnavailable: surely not applied.
            OutcomeUnknown: perhaps applied.
        """
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
        return job.entry if job.entry.record is job.record else detached(job.record)

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
        is_fresh = False
        attempt = 0
        while True:
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
            if is_written:
                held = await self._send(base, merged.content, is_access=bool(jobs))
                if held is None:
                    await self._back_off(attempt, until)
                    attempt += 1
                    is_fresh = True
                    continue
                base = held
            _hand_out(base, jobs, merged)
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

    async def _send(self, base: Entry, content: Session, *, is_access: bool) -> Entry | None:
        """The entry after the write; None if the session is not what `base` holds (any more)."""
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
            is_access=is_access,
        )
        # What is deferred from now on is not in this write.
        base.sending, base.unsaved = base.unsaved, []
        sent_count = base.unsaved_count
        asked_at = core.clock.monotonic()
        try:
            outcome = await write_surely(core, Change(before=stored, after=after))
        except BaseException:
            self._keep_unsaved(base)
            raise
        match outcome:
            case Outcome.APPLIED:
                base.sending = []
                base.unsaved_count -= sent_count
                core.note_unsaved(base)
                return core.learn(after, asked_at)
            case Outcome.CONFLICT:
                core.counters.conflicts += 1
        self._keep_unsaved(base)
        if outcome is Outcome.TOO_LARGE:
            raise TooLarge(content_size(content.contexts), core.policy.max_session_bytes)
        return None

    def _keep_unsaved(self, entry: Entry) -> None:
        """What was not saved waits for the next write, before what came meanwhile."""
        entry.unsaved = compacted(entry.promised)
        entry.sending = []
        self._core.note_unsaved(entry)

    async def _back_off(self, attempt: int, until: int) -> None:
        """Let the other worker finish; the first retry is at once.

        Raises:
            Overloaded: it is over; what was asked is surely not applied.
        """
        if self._core.clock.monotonic() >= until:
            raise Overloaded
        if attempt:
            await asyncio.sleep(random.uniform(0, min(BACKOFF_MAX_SECONDS, 0.002 * 2**attempt)))  # noqa: S311 jitter


def _hand_out(entry: Entry, jobs: Sequence[Job], merged: Merge) -> None:
    """Tell every job what became of it; those that must wait for another write stay undone."""
    assert isinstance(entry.record, Session)  # noqa: S101 it was found alive or just written
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
                job.record = entry.record


def _fail(jobs: Sequence[Job], error: MoorlineError) -> None:
    for job in jobs:
        if not job.is_done:
            job.error = error
