"""The way of kept changes to the store, when that is back, or a process finds some at its start.

What ended is written first, then what an earlier process left behind is taken over, and only then
anybody else may call the store; the changes follow, some sessions at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Final, TypeVar

import structlog
from msgspec import Struct, structs

from moorline_sidecar.cache.entry import Entry
from moorline_sidecar.domain.changes import Patch
from moorline_sidecar.domain.merging import Asked, rebased
from moorline_sidecar.domain.policies import move_times
from moorline_sidecar.domain.session import Record, Session, Tombstone
from moorline_sidecar.errors import (
    AlreadyExists,
    StoreError,
    StoreRefused,
    StoreUnavailable,
    TooLarge,
)
from moorline_sidecar.sessions.availability import CALL_SECONDS
from moorline_sidecar.sessions.core import Core
from moorline_sidecar.sessions.deferring import SAVES_AT_ONCE, Deferring, Refused
from moorline_sidecar.sessions.ending import Ending, new_write_id
from moorline_sidecar.sessions.journal import Changed, Created, Ended, Sent
from moorline_sidecar.stores.base import End, Outcome

TICK_SECONDS: Final = 0.1

REFUSED_MS: Final = 600_000
"""For how long the store may refuse what was kept before it is given up: a full disk is emptied by
then. What is too large stays so."""

PAUSE_SECONDS: Final = 1.0
"""After a round in which some could not be saved, with jitter of a half."""

TOMBSTONE_MS: Final = 60_000
"""For so long at least no purge removes a tombstone."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


class _Left(Struct):
    """What an earlier process kept of one session."""

    created: Session | None = None
    sent_at: int | None = None
    changes: list[Changed] = []


class Replaying:
    """Brings what is kept to the store."""

    def __init__(self, core: Core, ending: Ending, deferring: Deferring) -> None:
        self._core = core
        self._ending = ending
        self._deferring = deferring
        self._left: dict[str, _Left] = {}
        self._is_sorted = False
        self._refused_since: dict[str, int] = {}

    async def resume(self) -> None:
        """Bring ends to the store, and take over what an earlier process left behind.

        Raises:
            StoreError: the store is away again; what is left is done the next time.
        """
        await self._write_ends()
        await self._take_over()
        self._forget(list(self._core.journal.keys))
        self._core.journal.clear_if_idle()

    async def keep_replaying(self) -> None:
        """Save what was kept, some sessions at a time, for ever."""
        core = self._core
        while True:
            await asyncio.sleep(TICK_SECONDS)
            while core.journal.keys and not core.availability.is_down:
                if not await self._replay_some():
                    await asyncio.sleep(PAUSE_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 jitter
            if core.journal.ends and not core.availability.is_down:
                # Kept by requests that met the outage when it was over already.
                with contextlib.suppress(StoreError):
                    await self._write_ends()
            core.journal.clear_if_idle()

    async def _replay_some(self) -> bool:
        """Whether all of them could be saved, or had ended."""
        core = self._core
        keys = list(islice(core.journal.keys, SAVES_AT_ONCE))
        refused = await self._deferring.save_many([key for key in keys if key in core.unsaved])
        self._give_up([key for key, why in refused.items() if self._is_hopeless(key, why)])
        return self._forget(keys)

    def _is_hopeless(self, key: str, why: Refused) -> bool:
        now = self._core.clock.monotonic()
        since = self._refused_since.setdefault(key, now)
        return isinstance(why, TooLarge) or now - since >= REFUSED_MS

    def _give_up(self, keys: Sequence[str]) -> None:
        """Make room of what the store does not take; a session that it has not is no more."""
        core, journal = self._core, self._core.journal
        before = core.counters.lost_changes
        for key in keys:
            entry = core.unsaved.get(key)
            if entry is not None and not entry.sending:
                journal.keys.pop(key, None)
                self._refused_since.pop(key, None)
                core.give_up(entry)
                if journal.creates.pop(key, None) is not None:
                    core.forget(key)
        lost = core.counters.lost_changes - before
        if lost:
            log.error("kept changes that the store refuses were given up", lost_changes=lost)

    def _forget(self, keys: Sequence[str]) -> bool:
        """Forget those that have been saved; the others come last now. Whether there are none."""
        core, journal = self._core, self._core.journal
        is_done = True
        for key in keys:
            if key not in journal.keys:
                continue
            before = journal.keys.pop(key)
            if key in core.unsaved:
                journal.keys[key] = before
                is_done = False
            else:
                journal.creates.pop(key, None)
                self._refused_since.pop(key, None)
                core.counters.replayed_sessions += 1
        return is_done

    async def _write_ends(self) -> None:
        """In the store they are tombstones then, and what they were renewed to as well.

        One that the server refuses is tried again later, and keeps nobody else waiting.
        """
        journal = self._core.journal
        refused: set[str] = set()
        while ends := [end for key, end in journal.ends.items() if key not in refused]:
            ends = ends[:SAVES_AT_ONCE]
            stored = [end for end in ends if await self._insert_ended(end.key)]
            refused.update(end.key for end in ends if end not in stored)
            outcomes = await _in_time(lambda: self._core.store.write(stored))  # noqa: B023 awaited at once
            over: list[End] = []
            for end, outcome in zip(stored, outcomes, strict=True):
                if outcome is Outcome.REFUSED:
                    refused.add(end.key)
                elif outcome is Outcome.ENDED:
                    over.append(end)
                else:
                    self._forget_end(end)
            await self._end_successors(over)
        if refused:
            log.warning("the store refused the ends of sessions", sessions=len(refused))

    async def _end_successors(self, ends: Sequence[End]) -> None:
        """Go on with what sessions were renewed to that had ended before."""
        records = await self._load([end.key for end in ends])
        for end in ends:
            self._forget_end(end)
            record = records.get(end.key)
            if isinstance(record, Tombstone) and record.renewed_to is not None:
                again = structs.replace(end, key=record.renewed_to, write_id=new_write_id())
                self._core.journal.ends.setdefault(again.key, again)
                self._ending.bury(again)

    def _forget_end(self, end: End) -> None:
        self._core.journal.ends.pop(end.key, None)
        self._core.journal.creates.pop(end.key, None)

    async def _insert_ended(self, key: str) -> bool:
        """Store a session that is to end: a tombstone keeps out a create that is still to come.

        False: the server does not take it.
        """
        session = self._core.journal.creates.get(key)
        if session is not None:
            try:
                await _in_time(lambda: self._core.store.insert(session))
            except AlreadyExists:
                return True
            except (TooLarge, StoreRefused) as why:
                if self._is_hopeless(key, why):
                    # It never was in the store, and is not to be.
                    self._forget_end(self._core.journal.ends[key])
                return False
        return True

    async def _take_over(self) -> None:
        if not self._is_sorted:
            self._sort_left_behind()
            self._is_sorted = True
        while self._left:
            if self._core.journal.ends:
                await self._write_ends()
            keys = list(islice(self._left, SAVES_AT_ONCE))
            asked_at = self._core.clock.monotonic()
            records = await self._load(keys)
            for key in keys:
                self._adopt(self._left.pop(key), records.get(key), asked_at)
        # Not before: the file is not to be emptied while some of it is only here.
        self._core.journal.left_behind = ()

    def _sort_left_behind(self) -> None:
        """By session, and without those that have ended."""
        journal = self._core.journal
        for kept in journal.left_behind:
            match kept:
                case Created(session):
                    self._left.setdefault(session.key, _Left()).created = session
                case Sent(key, at):
                    self._left.setdefault(key, _Left()).sent_at = at
                case Changed(key):
                    self._left.setdefault(key, _Left()).changes.append(kept)
                case Ended(key):
                    left = self._left.pop(key, None)
                    if left is not None and left.created is not None and self._is_unsent(left):
                        journal.creates[key] = left.created
                    journal.ends[key] = End(
                        key=key, write_id=kept.write_id, now=kept.now, reason=kept.reason
                    )

    def _adopt(self, left: _Left, record: Record | None, asked_at: int) -> None:
        """Have the changes of an earlier process wait here."""
        core = self._core
        if record is None and left.created is not None and self._is_unsent(left):
            core.journal.creates[left.created.key] = left.created
            entry = begin_kept(core, left.created)
        elif isinstance(record, Session):
            entry = core.learn(record, asked_at)
        else:
            core.counters.lost_changes += len(left.changes)
            return
        self._note_access(entry, left)
        session = entry.stored
        if not isinstance(session, Session):
            core.counters.lost_changes += len(left.changes)
            return
        missing = [
            kept.asked for kept in left.changes if rebased(session, [kept.asked]) is not session
        ]
        if missing and any(session.version > kept.version for kept in left.changes):
            core.counters.replay_conflicts += 1
        for asked in missing:
            core.defer(entry, asked, rebased(session, [*entry.promised, asked]))
        if missing:
            core.journal.keys[entry.key] = None

    def _is_unsent(self, left: _Left) -> bool:
        """Whether a created session that the store does not have was never there.

        If it was, somebody ended it, and the purge removed its tombstone: it must not come back.
        """
        return left.sent_at is None or self._core.clock.now() < left.sent_at + TOMBSTONE_MS

    def _note_access(self, entry: Entry, left: _Left) -> None:
        """Have the changes count as the accesses that they were."""
        if isinstance(entry.stored, Session):
            move_times(entry.times, max((kept.now for kept in left.changes), default=0))

    async def _load(self, keys: Sequence[str]) -> dict[str, Record]:
        if not keys:
            return {}
        return await _in_time(lambda: self._core.store.load(keys))


def begin_kept(core: Core, session: Session) -> Entry:
    """The entry of a session that the store does not have yet: an unsaved one."""
    entry = core.learn(session, core.clock.monotonic())
    nothing = Asked(patch=Patch(context=next(iter(session.contexts))))
    core.defer(entry, nothing, entry.record if isinstance(entry.record, Session) else session)
    core.journal.keys[session.key] = session
    return entry


async def _in_time(operation: Callable[[], Awaitable[T]]) -> T:
    """The result of a call past `Availability`, which lets nobody else through yet."""
    try:
        async with asyncio.timeout(CALL_SECONDS):
            return await operation()
    except TimeoutError as error:
        raise StoreUnavailable("the call took too long") from error
