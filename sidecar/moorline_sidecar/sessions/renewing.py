"""Renew: a new id for the same session, so that an id known before a login is worth nothing after.

The copy is inserted first and served by nobody; one guarded write then turns the origin into a
tombstone that names the copy. Whatever crashes in between, one of the two is the session: never
both, never none.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
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
)
from moorline_sidecar.sessions.certainty import insert_surely, write_surely
from moorline_sidecar.sessions.core import Core, served_session
from moorline_sidecar.sessions.ending import Ending, new_write_id
from moorline_sidecar.sessions.finding import Finding
from moorline_sidecar.sessions.lanes import Lanes
from moorline_sidecar.sessions.writing import Job, Writing
from moorline_sidecar.stores.base import End, Outcome

SWAPS_MAX: Final = 5
"""Each lost swap is another worker's change: more in a row than this is a storm, not a login."""


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

    async def renew(self, renewal: Renewal) -> tuple[Entry, str]:
        """The new session's entry and its id; the same again for a repeated call.

        Raises:
            SessionEnded: it is over; reason `renewed` for the loser of two renews.
            SessionExists: the named id is taken.
            Refusal: the change that came with it was refused.
        """
        key = self._key_of(renewal.session_id)
        successor_id = _successor_id(renewal)
        async with self._lanes.hold(key):
            await self._writing.write_out(key)
            for attempt in range(SWAPS_MAX):
                entry = await self._swap(key, successor_id, renewal, is_fresh=attempt > 0)
                if entry is not None:
                    return entry, successor_id
        raise Overloaded

    async def _swap(
        self, key: str, successor_id: str, renewal: Renewal, *, is_fresh: bool
    ) -> Entry | None:
        """One try; None if another worker changed the session meanwhile."""
        successor = self._key_of(successor_id)
        origin = await self._origin(key, renewal.hint, is_fresh=is_fresh)
        if isinstance(origin.record, Tombstone):
            if origin.record.renewed_to == successor:
                return (await self._finding.find(successor, None))[0]
            raise SessionEnded(origin.record.reason)
        copy = self._copy(origin, successor, renewal.asked)
        await self._insert(copy, key)
        return await self._finish(origin, copy)

    async def _origin(self, key: str, hint: Hint | None, *, is_fresh: bool) -> Entry:
        if is_fresh:
            entry = await self._finding.fetch(key)
        else:
            entry, _source = await self._finding.find(key, hint)
        if isinstance(entry.record, Session) and self._core.is_over(entry, hint):
            return await self._ending.expire(entry, hint)
        return entry

    def _copy(self, origin: Entry, successor: str, asked: Asked) -> Session:
        assert isinstance(origin.stored, Session)  # noqa: S101 what `_swap` made sure of
        merged = merge(origin.stored, [asked], self._core.policy.max_session_bytes)
        for verdict in merged.verdicts:
            if isinstance(verdict, Refusal):
                raise verdict
        now = self._core.clock.now()
        content = stamped(
            merged.content,
            version=origin.stored.version + 1,
            write_id=new_write_id(),
            policy=self._core.policy,
            accessed_before=origin.times.own_accessed,
            now=now,
        )
        return structs.replace(content, key=successor, renew_of=origin.key, cookie_set=now)

    async def _insert(self, copy: Session, origin: str) -> None:
        try:
            await insert_surely(self._core, copy)
        except AlreadyExists:
            # Perhaps our own, from a try that crashed or whose swap was lost.
            if not await self._discard(copy.key, origin):
                raise SessionExists from None
            await insert_surely(self._core, copy)

    async def _finish(self, origin: Entry, copy: Session) -> Entry | None:
        """The swap itself; the copy is removed if it is lost."""
        core = self._core
        assert isinstance(origin.stored, Session)  # noqa: S101 what `_swap` made sure of
        now = core.clock.now()
        grace_ms = core.policy.renew_grace_ms
        end = End(
            key=origin.key,
            write_id=new_write_id(),
            now=now,
            reason=Reason.RENEWED,
            version=origin.stored.version,
            renewed_to=copy.key,
            grace_until=now + grace_ms if grace_ms else None,
        )
        asked_at = core.clock.monotonic()
        outcome = await write_surely(core, end)
        if outcome is not Outcome.APPLIED:
            with contextlib.suppress(StoreError):
                await self._discard(copy.key, origin.key)
            if outcome is Outcome.ABSENT:
                core.forget(origin.key)
                raise SessionUnknown
            return None
        core.counters.renewed += 1
        core.bury(_tombstone(origin, end))
        with contextlib.suppress(StoreError):
            await core.availability.call("settle", lambda: core.store.settle(copy.key, origin.key))
        self._finding.appeared(copy.key)
        return core.learn(structs.replace(copy, renew_of=None), asked_at)

    async def _discard(self, key: str, origin: str) -> bool:
        return await self._core.availability.call(
            "discard", lambda: self._core.store.discard(key, origin)
        )


def _successor_id(renewal: Renewal) -> str:
    if renewal.new_id is not None:
        return renewal.new_id
    if renewal.asked.idempotency_key is not None:
        return derived_id(renewal.session_id, renewal.asked.idempotency_key)
    return new_id()


def _tombstone(origin: Entry, end: End) -> Tombstone:
    session = served_session(origin)
    assert session is not None  # noqa: S101 a tombstone is not renewed
    return Tombstone(
        key=end.key,
        version=session.version + 1,
        created=session.created,
        accessed=session.accessed,
        invalidated=end.now,
        reason=end.reason,
        write_id=end.write_id,
        renewed_to=end.renewed_to,
        grace_until=end.grace_until,
        grace=session if end.grace_until is not None else None,
    )
