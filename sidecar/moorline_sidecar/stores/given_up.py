"""Calls that go on unheard: in what state a cancelled one leaves a driver, nobody knows."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class Tasks:
    """The calls of one store; what becomes of one that was given up is not told."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def begin(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    async def wait(self, seconds: float) -> None:
        """Let what is under way come to its end, for so long at most."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # Of one that was given up nobody wants to know.
            task.exception()
