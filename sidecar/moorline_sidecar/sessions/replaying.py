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

from msgspec import Struct, structs

from moorline_sidecar.cache.entry import Entry
from moorline_sidecar.domain.changes import Patch
from moorline_sidecar.domain.merging import Asked, rebased
from moorline_sidecar.domain.session import Record, Session, Tombstone
from moorline_sidecar.errors import AlreadyExists, StoreError, StoreUnavailable
from moorline_sidecar.sessions.availability import CALL_SECONDS
from moorline_sidecar.sessions.core import Core
from moorline_sidecar.sessions.deferring import SAVES_AT_ONCE, Deferring
from moorline_sidecar.sessions.ending import Ending, new_write_id
from moorline_sidecar.sessions.journal import Changed, Created, Ended
from moorline_sidecar.stores.base import End, Outcome

TICK_SECONDS: Final = 0.1

PAUSE_SECONDS: Final = 1.0
"""After a round in which some could not be saved, with jitter of a half."""

T = TypeVar("T")


class _Left(Struct):
    """What an earlier process kept of one session."""

    created: Session | None = None
    changes: list[Changed] = []


class Replaying:
    """Brings what is kept to the store."""

    def __init__(self, core: Core, ending: Ending, deferring: Deferring) -> None:
        self._core = core
        self._ending = ending
        self._deferring = deferring
        self._left: dict[str, _Left] = {}

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
        await self._deferring.save_many([key for key in keys if key in core.unsaved])
        return self._forget(keys)

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
                core.counters.replayed_sessions += 1
        return is_done

    async def _write_ends(self) -> None:
        """In the store they are tombstones then, and what they were renewed to as well."""
        core = self._core
        while core.journal.ends:
            ends = list(islice(core.journal.ends.values(), SAVES_AT_ONCE))
            for end in ends:
                await self._insert_ended(end.key)
            outcomes = await _in_time(lambda: core.store.write(ends))  # noqa: B023 awaited at once
            over = [
                end.key
                for end, outcome in zip(ends, outcomes, strict=True)
                if outcome is Outcome.ENDED
            ]
            records = await self._load(over)
            for end, outcome in zip(ends, outcomes, strict=True):
                if outcome is Outcome.REFUSED:
                    raise StoreUnavailable("the store refused the end of a session")
                core.journal.ends.pop(end.key, None)
                core.journal.creates.pop(end.key, None)
                record = records.get(end.key)
                if isinstance(record, Tombstone) and record.renewed_to is not None:
                    again = structs.replace(end, key=record.renewed_to, write_id=new_write_id())
                    core.journal.ends.setdefault(again.key, again)
                    self._ending.bury(again)

    async def _insert_ended(self, key: str) -> None:
        """Store a session that is to end: a tombstone keeps out a create that is still to come."""
        session = self._core.journal.creates.get(key)
        if session is not None:
            with contextlib.suppress(AlreadyExists):
                await _in_time(lambda: self._core.store.insert(session))

    async def _take_over(self) -> None:
        self._sort_left_behind()
        while self._left:
            if self._core.journal.ends:
                await self._write_ends()
            keys = list(islice(self._left, SAVES_AT_ONCE))
            asked_at = self._core.clock.monotonic()
            records = await self._load(keys)
            for key in keys:
                self._adopt(self._left.pop(key), records.get(key), asked_at)
        self._core.journal.left_behind = ()

    def _sort_left_behind(self) -> None:
        """By session, and without those that have ended."""
        journal = self._core.journal
        for kept in journal.left_behind:
            match kept:
                case Created(session):
                    self._left.setdefault(session.key, _Left()).created = session
                case Changed(key):
                    self._left.setdefault(key, _Left()).changes.append(kept)
                case Ended(key):
                    left = self._left.pop(key, None)
                    if left is not None and left.created is not None:
                        journal.creates[key] = left.created
                    journal.ends[key] = End(
                        key=key, write_id=kept.write_id, now=kept.now, reason=kept.reason
                    )
        journal.left_behind = ()

    def _adopt(self, left: _Left, record: Record | None, asked_at: int) -> None:
        """Have the changes of an earlier process wait here."""
        core = self._core
        if record is None and left.created is not None:
            core.journal.creates[left.created.key] = left.created
            entry = begin_kept(core, left.created)
        elif isinstance(record, Session):
            entry = core.learn(record, asked_at)
        else:
            core.counters.lost_changes += len(left.changes)
            return
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
