"""A session by its key: from the L1 where that is allowed, else asked of the store."""

from __future__ import annotations

import contextlib
import enum
from typing import Final

from msgspec import structs

from moorline_sidecar.cache.entry import Entry
from moorline_sidecar.domain.ids import Hint
from moorline_sidecar.domain.policies import CopyFacts, may_serve_copy, may_serve_in_outage
from moorline_sidecar.domain.session import Record, Session, Tombstone
from moorline_sidecar.errors import SessionUnknown, StoreError, StoreUnavailable
from moorline_sidecar.sessions.core import Core, merge_times

ABSENCE_MS: Final = 1_000
"""How long a key counts as absent without asking: it may be created elsewhere meanwhile."""

ABSENCES_MAX: Final = 4_096
"""About half a megabyte of keys."""


class Source(enum.Enum):
    """Where an answer came from."""

    HIT = b"hit"
    """The copy, without asking."""
    REVALIDATED = b"revalidated"
    """The copy; the store said that it holds."""
    MISS = b"miss"
    """Loaded, as there was no copy or it had changed."""
    BYPASS = b"bypass"
    """No L1, or a write."""


class Finding:
    """Serves a copy or asks, as `cache.staleness` and the hint demand."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._absent: dict[str, int] = {}
        self._appearances = 0

    def held(self, key: str, hint: Hint | None) -> Entry | None:
        """The entry, if it is served without asking; a tombstone always is."""
        core = self._core
        entry = core.l1.get(key)
        if entry is None:
            return None
        if isinstance(entry.record, Tombstone):
            return entry
        now = core.clock.monotonic()
        facts = CopyFacts(
            entry.stored.version,
            now - entry.confirmed_at,
            core.coverage.covers(entry.confirmed_at, now),
            entry.is_outdated,
        )
        if may_serve_copy(core.policy, facts, hint):
            return entry
        if core.availability.is_down and may_serve_in_outage(entry.stored.version, hint):
            return entry
        return None

    async def find(self, key: str, hint: Hint | None) -> tuple[Entry, Source]:
        """The entry, and where it came from; a tombstone too.

        Raises:
            SessionUnknown: there is no record.
            StoreUnavailable: the store had to be asked, and is away.
        """
        entry = self.held(key, hint)
        if entry is not None:
            return entry, Source.HIT
        try:
            return await self._ask(key, hint)
        except StoreError as error:
            # The outage may have begun with this very question; in one, answers are marked.
            entry = self._core.l1.peek(key)
            is_down = self._core.availability.is_down
            if entry is not None and is_down and may_serve_in_outage(entry.stored.version, hint):
                return entry, Source.HIT
            raise StoreUnavailable from error

    async def fetch(self, key: str) -> Entry:
        """The entry with what the store holds now.

        Raises:
            SessionUnknown: there is no record, or only the copy of a renew that did not happen.
            StoreUnavailable: the store is away.
        """
        core = self._core
        asked_at = core.clock.monotonic()
        record = await core.load(key)
        if isinstance(record, Session) and record.renew_of is not None:
            record = await self._settled(record, record.renew_of)
        if record is not None:
            self._absent.pop(key, None)
            return core.learn(record, asked_at)
        entry = core.l1.peek(key)
        if entry is not None and entry.confirmed_at >= asked_at:
            # Created here after the store was asked.
            return entry
        core.forget(key)
        raise SessionUnknown

    async def _ask(self, key: str, hint: Hint | None) -> tuple[Entry, Source]:
        core = self._core
        entry = core.l1.peek(key)
        if entry is None or entry.is_outdated:
            if entry is None and hint is None:
                self._check_absence(key)
            return await self._load(key), Source.MISS if core.caches else Source.BYPASS
        asked_at = core.clock.monotonic()
        mark = await core.confirm(key)
        if mark is None:
            core.forget(key)
            raise SessionUnknown
        if not mark.is_valid or not mark.names(entry.stored):
            return await self.fetch(key), Source.MISS
        merge_times(entry.times, mark)
        entry.confirm(asked_at)
        return core.l1.peek(key) or entry, Source.REVALIDATED

    async def _load(self, key: str) -> Entry:
        appearances = self._appearances
        try:
            return await self.fetch(key)
        except SessionUnknown:
            if appearances == self._appearances:
                self._remember_absence(key)
            raise

    async def _settled(self, copy: Session, origin: str) -> Record | None:
        """The copy as a session of its own, if the renew that made it has happened."""
        record = await self._core.load(origin)
        if not isinstance(record, Tombstone) or record.renewed_to != copy.key:
            return None
        # A crash came between the swap and this; should it fail now, the next reader does it.
        with contextlib.suppress(StoreError):
            await self._core.availability.call(
                "settle", lambda: self._core.store.settle(copy.key, origin)
            )
        return structs.replace(copy, renew_of=None)

    def _check_absence(self, key: str) -> None:
        until = self._absent.get(key)
        if until is not None and self._core.clock.monotonic() < until:
            raise SessionUnknown

    def _remember_absence(self, key: str) -> None:
        self._absent.pop(key, None)
        if len(self._absent) >= ABSENCES_MAX:
            del self._absent[next(iter(self._absent))]
        self._absent[key] = self._core.clock.monotonic() + ABSENCE_MS

    def appeared(self, key: str) -> None:
        """Forget that a key was absent: this worker has just created it."""
        self._appearances += 1
        self._absent.pop(key, None)
