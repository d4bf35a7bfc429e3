"""Renew: a new id for the same session, so that an id known before a login is worth nothing after.

The copy is inserted first and served by nobody; one guarded write then turns the origin into a
tombstone that names the copy. Whatever crashes in between, one of the two is the session: never
both, never none.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from copy import copy
from typing import Final

from msgspec import Struct, structs

from moorline_sidecar.cache.entry import Entry
from moorline_sidecar.domain.changes import stamped
from moorline_sidecar.domain.ids import Hint, derived_id, new_id
from moorline_sidecar.domain.merging import Asked, merge
from moorline_sidecar.domain.session import Reason, Session, Tombstone
from moorline_sidecar.errors import (
    AlreadyExists,
    Overloaded,
    Refusal,
    SessionEnded,
    SessionExists,
    SessionUnknown,
    StoreError,
    VersionConflict,
)
from moorline_sidecar.sessions.certainty import insert_surely, write_surely
from moorline_sidecar.sessions.core import Core, live_session, served_session
from moorline_sidecar.sessions.ending import Ending, new_write_id
from moorline_sidecar.sessions.finding import Finding
from moorline_sidecar.sessions.lanes import Lanes
from moorline_sidecar.sessions.writing import Job, Writing
from moorline_sidecar.stores.base import End, Outcome

SWAPS_MAX: Final = 5
"""Each lost swap is another worker's change; more in a row is a storm, not a login. One more try
finds out that the first one went by a stale copy."""


class Renewal(Struct, frozen=True, kw_only=True):
    """What a caller asks for: `new_id` is the caller's own, or None; `asked` is applied with it."""

    session_id: str
    new_id: str | None
    asked: Asked
    hint: Hint | None


class Renewing:
    """Swaps ids."""

    def __init__(  # noqa: PLR0913, PLR0917 the parts it is made of
        self,
        core: Core,
        lanes: Lanes[Job],
        finding: Finding,
        ending: Ending,
        writing: Writing,
        key_of: Callable[[str], str],
    ) -> None:
        self._core = core
        self._lanes = lanes
        self._finding = finding
        self._ending = ending
        self._writing = writing
        self._key_of = key_of
        self._under_way: set[str] = set()

    async def renew(self, renewal: Renewal) -> tuple[Entry, str]:
        """The new session's entry and its id; the same again for a repeated call.

        Raises:
            SessionEnded: it is over; reason `renewed` for the loser of two renews.
            SessionExists: the named id is taken.
            Refusal: the change that came with it was refused.
        """
        key = self._key_of(renewal.session_id)
        new_session_id = successor_id(renewal)
        async with self._lanes.hold(key):
            self._under_way.add(key)
            try:
                for attempt in range(SWAPS_MAX + 1):
                    await self._writing.write_out(key)
                    entry = await self._swap(key, new_session_id, renewal, is_fresh=attempt > 0)
                    if entry is not None:
                        return entry, new_session_id
            finally:
                self._under_way.discard(key)
        raise Overloaded

    def is_under_way(self, key: str) -> bool:
        """Whether the session is being renewed: a change that is kept now would stay behind."""
        return key in self._under_way

    async def _swap(
        self, key: str, new_session_id: str, renewal: Renewal, *, is_fresh: bool
    ) -> Entry | None:
        """One try; None if it is to be repeated on what the store holds now."""
        successor = self._key_of(new_session_id)
        entry = await self._origin(key, renewal.hint, is_fresh=is_fresh)
        if isinstance(entry.record, Tombstone):
            return await self._already_renewed(entry.record, successor)
        # While this waits, readers and other workers may change what the entry holds.
        origin = _Origin(entry)
        copy = self._copy(origin, successor, renewal.asked)
        if isinstance(copy, Refusal):
            if not is_fresh:
                return None
            raise VersionConflict(entry) if isinstance(copy, VersionConflict) else copy
        placed = await self._placed(copy, origin, is_fresh=is_fresh)
        return None if placed is None else await self._finish(origin, placed)

    async def _origin(self, key: str, hint: Hint | None, *, is_fresh: bool) -> Entry:
        if is_fresh:
            entry = await self._finding.fetch(key)
        else:
            entry, _source = await self._finding.find(key, hint)
        if isinstance(entry.record, Session) and self._core.is_over(entry, hint):
            return await self._ending.expire(entry, hint)
        return entry

    async def _already_renewed(self, tombstone: Tombstone, successor: str) -> Entry:
        if tombstone.renewed_to != successor:
            raise SessionEnded(tombstone.reason)
        entry, _source = await self._finding.find(successor, None)
        live_session(entry)
        return entry

    def _copy(self, origin: _Origin, successor: str, asked: Asked) -> Session | Refusal:
        merged = merge(origin.stored, [asked], self._core.policy.max_session_bytes)
        for verdict in merged.verdicts:
            if isinstance(verdict, Refusal):
                return verdict
        now = self._core.clock.now()
        content = stamped(
            merged.content,
            version=origin.stored.version + 1,
            write_id=new_write_id(),
            policy=self._core.policy,
            times=origin.times,
            now=now,
        )
        return structs.replace(content, key=successor, renew_of=origin.key, cookie_set=now)

    async def _placed(self, copy: Session, origin: _Origin, *, is_fresh: bool) -> Session | None:
        """The copy in the store: this one, or one that another call for the same id has made.

        A copy is never replaced: whoever made it may be about to swap. One that is older than the
        origin can not be swapped in any more, and is removed.
        """
        try:
            await insert_surely(self._core, copy)
        except AlreadyExists:
            record = await self._core.load(copy.key)
            if not isinstance(record, Session) or record.renew_of != origin.key:
                if not is_fresh:
                    # The renew may have happened elsewhere: then the origin says so.
                    return None
                raise SessionExists from None
            if record.version < copy.version:
                await self._discard(record, origin.key)
            return record if record.version == copy.version else None
        return copy

    async def _finish(self, origin: _Origin, copy: Session) -> Entry | None:
        """The swap itself; None if the origin has changed meanwhile."""
        core = self._core
        now = core.clock.now()
        grace_ms = core.policy.renew_grace_ms
        end = End(
            key=origin.key,
            write_id=new_write_id(),
            now=now,
            reason=Reason.RENEWED,
            version=origin.stored.version,
            content_id=origin.stored.write_id,
            renewed_to=copy.key,
            grace_until=now + grace_ms if grace_ms else None,
        )
        asked_at = core.clock.monotonic()
        match await write_surely(core, end):
            case Outcome.APPLIED:
                core.counters.renewed += 1
                core.bury(_tombstone(origin, end))
            case Outcome.CONFLICT:
                # No swap with this version will succeed any more, so nobody needs the copy.
                await self._discard(copy, origin.key)
                return None
            case Outcome.ABSENT:
                await self._discard(copy, origin.key)
                core.forget(origin.key)
                raise SessionUnknown
            case _:
                return await self._lost(origin, copy)
        await self._settle(copy, origin.key)
        self._finding.appeared(copy.key)
        return core.learn(structs.replace(copy, renew_of=None), asked_at)

    async def _lost(self, origin: _Origin, copy: Session) -> Entry:
        """Another call ended the origin: perhaps by the very same renew."""
        entry = await self._finding.fetch(origin.key)
        record = entry.record
        if isinstance(record, Tombstone) and record.renewed_to == copy.key:
            await self._settle(copy, origin.key)
            return await self._already_renewed(record, copy.key)
        await self._discard(copy, origin.key)
        raise SessionEnded(record.reason if isinstance(record, Tombstone) else Reason.RENEWED)

    async def _settle(self, copy: Session, origin: str) -> None:
        """Should it fail, the first reader does it."""
        core = self._core
        with contextlib.suppress(StoreError):
            await core.availability.call("settle", lambda: core.store.settle(copy.key, origin))

    async def _discard(self, copy: Session, origin: str) -> None:
        """Should it fail, the scavenge does it."""
        core = self._core
        with contextlib.suppress(StoreError):
            await core.availability.call(
                "discard", lambda: core.store.discard(copy.key, origin, copy.version)
            )


class _Origin:
    """The session to renew, as it was when it was looked at."""

    def __init__(self, entry: Entry) -> None:
        assert isinstance(entry.stored, Session)  # noqa: S101 a tombstone is not renewed
        self.key = entry.key
        self.stored = entry.stored
        self.times = copy(entry.times)
        self.shown = served_session(entry)


def successor_id(renewal: Renewal) -> str:
    """The id that a renew gives: the caller's own, the same for a repeated call, or a new one."""
    if renewal.new_id is not None:
        return renewal.new_id
    if renewal.asked.idempotency_key is not None:
        return derived_id(renewal.session_id, renewal.asked.idempotency_key)
    return new_id()


def _tombstone(origin: _Origin, end: End) -> Tombstone:
    return Tombstone(
        key=end.key,
        version=origin.stored.version + 1,
        created=origin.stored.created,
        accessed=origin.times.own_accessed,
        invalidated=end.now,
        reason=end.reason,
        write_id=end.write_id,
        renewed_to=end.renewed_to,
        grace_until=end.grace_until,
        grace=origin.shown if end.grace_until is not None else None,
    )
