"""Changes that are kept for a while: the save modes `Complete`, `Periodic` and `Shutdown`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import structlog
from moorline_api import SaveMode

from moorline_sidecar.cache.entry import Entry
from moorline_sidecar.domain.merging import Asked
from moorline_sidecar.errors import (
    Overloaded,
    Refusal,
    SessionEnded,
    SessionUnknown,
    StoreError,
    StoreRefused,
    TooLarge,
)
from moorline_sidecar.sessions.core import Core, changed_session
from moorline_sidecar.sessions.writing import Writing

TICK_SECONDS: Final = 0.1
"""How exactly `save.period` is kept."""

SAVES_AT_ONCE: Final = 64
"""Sessions saved together: one bulk write."""

Refused: TypeAlias = StoreRefused | TooLarge
"""Why a store that is in reach does not take what is to be saved."""

log = structlog.get_logger(__name__)


class Deferring:
    """Keeps changes in the L1, and saves them when their time has come."""

    def __init__(self, core: Core, writing: Writing) -> None:
        self._core = core
        self._writing = writing

    def takes(self, asked: Asked) -> bool:
        """Whether this change may wait."""
        mode = self._core.policy.effective_save_mode
        return (
            mode is not SaveMode.WRITE and asked.if_versions is None and asked.patch.is_deferrable
        )

    def change(self, found: Entry, asked: Asked) -> Entry:
        """Apply a change to a session that was found alive; the entry that holds it.

        Raises:
            Refusal: nothing was changed; Overloaded when too much is unsaved already.
        """
        core = self._core
        entry = core.l1.peek(found.key) or found
        content = changed_session(entry, asked, core.policy.max_session_bytes)
        if content is None:
            return entry
        if core.unsaved_bytes + asked.patch.size > core.policy.unsaved_bytes_max:
            raise Overloaded
        core.defer(entry, asked, content)
        return entry

    async def keep_saving(self) -> None:
        """Save what is due, for ever."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            if not self._core.availability.is_down and (due := self._due()):
                await self.save_many(due)

    async def save_all(self) -> bool:
        """Save everything once; whether nothing is left."""
        keys = list(self._core.unsaved)
        for first in range(0, len(keys), SAVES_AT_ONCE):
            await self.save_many(keys[first : first + SAVES_AT_ONCE])
        return not self._core.unsaved

    async def save(self, key: str) -> None:
        """Save what is unsaved of one session.

        Raises:
            SessionEnded, SessionUnknown: it is over, and what was unsaved with it.
            StoreError, Refusal: it stays unsaved.
        """
        await self._writing.save(key)

    def _due(self) -> Sequence[str]:
        """Keys whose time has come, or that keep a full L1 from evicting."""
        core = self._core
        if core.l1.is_over:
            return list(core.unsaved)[:SAVES_AT_ONCE]
        if core.policy.save_mode is SaveMode.SHUTDOWN:
            return []
        before = core.clock.monotonic() - core.policy.save_period_ms
        due = (key for key, entry in core.unsaved.items() if entry.unsaved_since <= before)
        return [key for key, _ in zip(due, range(SAVES_AT_ONCE), strict=False)]

    async def save_many(self, keys: Sequence[str]) -> Mapping[str, Refused]:
        """Save these sessions together; what cannot be saved yet stays unsaved.

        Returns those that the store is there for, and does not take.
        """
        results = await asyncio.gather(*map(self.save, keys), return_exceptions=True)
        refused: dict[str, Refused] = {}
        failures = 0
        for key, result in zip(keys, results, strict=True):
            match result:
                case None | SessionEnded() | SessionUnknown():
                    continue
                case StoreRefused() | TooLarge():
                    refused[key] = result
                    failures += 1
                case StoreError() | Refusal():
                    failures += 1
                case _:
                    raise result
        if failures:
            log.warning("changes could not be saved yet", sessions=failures)
        self._core.l1.evict()
        for key in keys:
            self._wait_again(key)
        return refused

    def _wait_again(self, key: str) -> None:
        """What is unsaved still, or again, waits for a whole period, behind all others."""
        entry = self._core.unsaved.pop(key, None)
        if entry is not None:
            entry.unsaved_since = self._core.clock.monotonic()
            self._core.unsaved[key] = entry
