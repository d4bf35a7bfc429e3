"""Changes that are kept for a while: the save modes `Complete`, `Periodic` and `Shutdown`."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
import structlog
from moorline_api import SaveMode

from moorline_sidecar.cache.entry import Entry
from moorline_sidecar.domain.merging import Asked, Verdict, merge
from moorline_sidecar.domain.session import Session
from moorline_sidecar.errors import Overloaded, Refusal, StoreError
from moorline_sidecar.sessions.core import Core
from moorline_sidecar.sessions.writing import Writing

TICK_SECONDS: Final = 0.1
"""How exactly `save.period` is kept."""

SAVES_AT_ONCE: Final = 64
"""Sessions saved together: one bulk write."""

log = structlog.get_logger(__name__)

_encode = msgspec.json.Encoder().encode


class Deferring:
    """Keeps changes in the L1, and saves them when their time has come."""

    def __init__(self, core: Core, writing: Writing) -> None:
        self._core = core
        self._writing = writing
        self._since: dict[str, int] = {}
        self._bytes: dict[str, int] = {}
        self._bytes_total = 0

    def takes(self, asked: Asked) -> bool:
        """Whether this change may wait."""
        mode = self._core.policy.effective_save_mode
        return (
            mode is not SaveMode.WRITE and asked.if_versions is None and asked.patch.is_deferrable
        )

    @property
    def unsaved(self) -> int:
        """Sessions with changes that are not saved."""
        return len(self._since)

    def change(self, entry: Entry, asked: Asked) -> None:
        """Apply a change to a live entry.

        Raises:
            Refusal: nothing was changed; Overloaded when too much is unsaved already.
        """
        core = self._core
        assert isinstance(entry.record, Session)  # noqa: S101 whoever calls has found it alive
        merged = merge(entry.record, [asked], core.policy.max_session_bytes)
        verdict = merged.verdicts[0]
        if isinstance(verdict, Refusal):
            raise verdict
        if verdict is Verdict.REPLAYED or merged.content is entry.record:
            return
        size = len(_encode([asked.patch.set, asked.patch.unset, asked.patch.replace]))
        if self._bytes_total + size > core.policy.unsaved_bytes_max:
            raise Overloaded
        if core.l1.peek(entry.key) is not entry:
            # Evicted since it was found: what is unsaved must be in the L1.
            core.l1.put(entry)
        entry.unsaved.append(asked)
        core.hold(entry, entry.stored, merged.content)
        self._since.setdefault(entry.key, core.clock.monotonic())
        self._add_bytes(entry.key, size)

    async def save(self, key: str) -> None:
        """Save what is unsaved of one session.

        Raises:
            StoreError: it stays unsaved.
        """
        since = self._since.pop(key, None)
        size = self._bytes.pop(key, 0)
        self._bytes_total -= size
        try:
            await self._writing.save(key)
        finally:
            entry = self._core.l1.peek(key)
            if entry is not None and entry.unsaved:
                self._since.setdefault(key, since or self._core.clock.monotonic())
                self._add_bytes(key, size)

    async def keep_saving(self) -> None:
        """Save what is due, for ever."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            if not self._core.availability.is_down and (due := self._due()):
                await self._save_many(due)

    async def save_all(self) -> bool:
        """Save everything once; whether nothing is left."""
        while keys := list(self._since)[:SAVES_AT_ONCE]:
            if not await self._save_many(keys):
                return False
        return True

    def _add_bytes(self, key: str, size: int) -> None:
        self._bytes[key] = self._bytes.get(key, 0) + size
        self._bytes_total += size

    def _due(self) -> list[str]:
        """Keys whose time has come, or that keep a full L1 from evicting."""
        core = self._core
        is_full = len(core.l1) > core.l1.max_sessions or core.l1.bytes > core.l1.max_bytes
        if is_full:
            return list(self._since)[:SAVES_AT_ONCE]
        if core.policy.save_mode is SaveMode.SHUTDOWN:
            return []
        before = core.clock.monotonic() - core.policy.save_period_ms
        return [key for key, since in self._since.items() if since <= before][:SAVES_AT_ONCE]

    async def _save_many(self, keys: list[str]) -> bool:
        results = await asyncio.gather(*map(self.save, keys), return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        for failure in failures:
            if not isinstance(failure, StoreError | Refusal):
                raise failure
        if failures:
            log.warning("changes could not be saved yet", sessions=len(failures))
        return not failures
