"""Who is connected and what is at work: the data plane ends none of it without knowing."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Final, Protocol

import structlog

from moorline_sidecar.http.limits import Limits

CANCELLATION_S: Final = 1.0
"""A cancelled handler has nothing to wait for."""

log = structlog.get_logger()


class Guest(Protocol):
    """A connection, as the data plane sees it."""

    def look(self, now: float) -> None:
        """End what has taken too long. `now` is in seconds, of a clock that never goes back."""

    def allow(self, limits: Limits) -> None:
        """Grant other bounds to the requests that come; times stay as they were."""

    def retire(self) -> None:
        """Close now if idle, else after the requests that have come."""

    def abort(self) -> None:
        """Close at once; what was not sent is lost."""


class Roster:
    """The open connections of one data plane, and the tasks that work for them.

    A task outlives its connection: a write must not be cut in half because its caller has gone.
    """

    def __init__(self) -> None:
        self.serving: dict[Guest, None] = {}
        """The oldest first."""
        self.leaving: set[Guest] = set()
        """Answered for the last time; they are read from until the client closes."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    def enter(self, guest: Guest) -> None:
        self.serving[guest] = None
        self._is_empty.clear()

    def part(self, guest: Guest) -> None:
        """Move to those who leave."""
        self.serving.pop(guest, None)
        self.leaving.add(guest)

    def gone(self, guest: Guest) -> None:
        self.serving.pop(guest, None)
        self.leaving.discard(guest)
        self._note_if_empty()

    def employ(self, work: Coroutine[None, None, None]) -> None:
        """Start a task, kept until it is done."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        self._is_empty.clear()
        task.add_done_callback(self._dismiss)

    def everyone(self) -> list[Guest]:
        return [*self.serving, *self.leaving]

    async def wait_until_empty(self) -> None:
        await self._is_empty.wait()

    async def dismiss_all(self) -> None:
        """Abort the connections, cancel the tasks, and see both end."""
        for guest in self.everyone():
            guest.abort()
        for task in self._tasks:
            task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(CANCELLATION_S):
                await self._is_empty.wait()
        if self._tasks:
            log.error("cancelled handlers do not end", tasks=len(self._tasks))

    def _dismiss(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._note_if_empty()

    def _note_if_empty(self) -> None:
        if not (self.serving or self.leaving or self._tasks):
            self._is_empty.set()
