"""Calls that a test lets end when it wants."""

import asyncio
from collections.abc import Awaitable, Sequence

from moorline_sidecar.sessions.batching import IN_FLIGHT_MAX, Batcher

ROUNDS = 20


async def let_run() -> None:
    """Let everything go on that can go on without the test."""
    for _ in range(ROUNDS):
        await asyncio.sleep(0)


class Call:
    """One call: what it was asked for, and its end."""

    def __init__(self, items: Sequence[str]) -> None:
        self.items = list(items)
        self.end: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()

    def succeed(self, mark: str = "!") -> None:
        """Each item's result is the item with a mark."""
        self.end.set_result([item + mark for item in self.items])

    def fail(self, error: Exception) -> None:
        self.end.set_exception(error)


class SlowCalls:
    """The calls that were made, in order."""

    def __init__(self) -> None:
        self.made: list[Call] = []
        self.tasks: list[asyncio.Future[None]] = []

    async def work(self, items: Sequence[str]) -> list[str]:
        call = Call(items)
        self.made.append(call)
        return await call.end

    def spawn(self, work: Awaitable[None]) -> None:
        self.tasks.append(asyncio.ensure_future(work))

    @property
    def asked(self) -> list[list[str]]:
        return [call.items for call in self.made]

    @property
    def under_way(self) -> list[Call]:
        return [call for call in self.made if not call.end.done()]


class Bench:
    """A batcher over slow calls."""

    def __init__(self, in_flight_max: int = IN_FLIGHT_MAX, ready: int = IN_FLIGHT_MAX) -> None:
        self.calls = SlowCalls()
        self.batcher: Batcher[str, str] = Batcher(
            self.calls.work, self.calls.spawn, ready=ready, in_flight_max=in_flight_max
        )

    def submit(self, *keys: str) -> list[asyncio.Task[str]]:
        return [asyncio.create_task(self.batcher.submit(key, key)) for key in keys]

    async def submitted(self, *keys: str) -> list[asyncio.Task[str]]:
        """Submit, and let it be sent if it may."""
        tasks = self.submit(*keys)
        await let_run()
        return tasks
