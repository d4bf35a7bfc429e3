"""This process's entry in the registry of the store: who is alive, and who shares a name.

Nothing rests on it. A beat that fails is followed by the next one, and nobody waits for either.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from contextlib import suppress
from typing import Final

import structlog

from moorline_sidecar.errors import StoreError
from moorline_sidecar.sessions.core import Core
from moorline_sidecar.stores.registry import Member, Registry

BEAT_SECONDS: Final = 10.0
ALIVE_MS: Final = 45_000
"""Since its last beat a process counts as alive: four beats, the last of them slow."""

STALE_MS: Final = 600_000
"""An entry this old belongs to a process that was killed."""

OVERLAP_MS: Final = 2_000
"""How far the clocks of two processes may be apart; both go by the store's."""

LEAVE_SECONDS: Final = 0.3
"""For the last call of a shutdown, which has more important ones."""

log = structlog.get_logger(__name__)


class Registering:
    """Beats, and looks who else does."""

    def __init__(self, core: Core, registry: Registry | None, pod: str, version: str) -> None:
        self._core = core
        self._registry = registry
        self._pod = pod
        self._version = version
        self._since = core.clock.now()
        self.process = secrets.token_hex(8)
        self._namesakes: set[str] = set()

    async def keep_beating(self, stop: asyncio.Event) -> None:
        """Write the entry now and then, until `stop` is set: drivers may swallow a cancellation."""
        while self._registry is not None and not stop.is_set():
            try:
                await self._beat(self._registry)
            except StoreError as error:
                log.debug("the beat failed", why=str(error))
            except Exception:
                # Whatever lies in that collection: sessions go on.
                log.exception("the beat failed")
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT_SECONDS * random.uniform(0.8, 1.2)):  # noqa: S311 jitter
                    await stop.wait()

    def member(self) -> Member:
        """This process as it is now."""
        core = self._core
        return Member(
            process=self.process,
            worker=core.policy.worker,
            pod=self._pod,
            version=self._version,
            since=self._since,
            beat=core.clock.now(),
            sessions=core.l1.sessions,
            unsaved=len(core.unsaved),
        )

    async def leave(self) -> None:
        """Remove the entry, if that is possible at once."""
        if self._registry is None or self._core.availability.is_down:
            return
        with suppress(StoreError, TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._registry.remove(self.process)

    async def others(self) -> list[Member]:
        """The other processes that are alive, by name; none while the store is away."""
        if self._registry is None or self._core.availability.is_down:
            return []
        try:
            members = await self._registry.members(self._core.clock.now() - ALIVE_MS)
        except StoreError:
            return []
        others = [member for member in members if member.process != self.process]
        return sorted(others, key=lambda member: (member.worker, member.since))

    async def _beat(self, registry: Registry) -> None:
        core = self._core
        if core.availability.is_down:
            return
        await registry.beat(self.member())
        await registry.remove_stale(core.clock.now() - STALE_MS)
        self._report_namesakes(await self.others())

    def _report_namesakes(self, others: list[Member]) -> None:
        """Tell of live processes with this worker's name, of each once.

        One that was replaced by this process has not beaten since this one began.
        """
        for other in others:
            if (
                other.worker == self._core.policy.worker
                and other.beat > self._since + OVERLAP_MS
                and other.process not in self._namesakes
            ):
                self._namesakes.add(other.process)
                self._core.counters.shared_names += 1
                log.error(
                    "another process has this worker's name",
                    pod=other.pod,
                    version=other.version,
                )
