"""Work that is gathered while other work is under way, and done together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Generic, TypeVar

BATCH_MAX: Final = 64
"""Items in one call; longer ones would only delay the first of their answers."""

IN_FLIGHT_MAX: Final = 4
"""Calls under way at once: enough to hide a round trip, few enough to let batches grow."""


Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """Turns single submissions into few calls of `work`.

    An item that has not been sent yet is shared by all who submit its key. One that was sent is
    not, as its answer may be older than the question: the next call for that key starts when it is
    back, so that one is in flight per key. `work` returns a result for each item, in order.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        spawn: Callable[[Awaitable[None]], object],
        *,
        in_flight_max: int = IN_FLIGHT_MAX,
    ) -> None:
        self._work = work
        self._spawn = spawn
        self._in_flight_max = in_flight_max
        self._calls = 0
        self._is_scheduled = False
        self._waiting: dict[str, tuple[Item, asyncio.Future[Result]]] = {}
        self._in_flight: set[str] = set()

    async def submit(self, key: str, item: Item) -> Result:
        """The result for `item`, or for another item of that key which has not been sent yet."""
        waiting = self._waiting.get(key)
        future = self._add(key, item) if waiting is None else waiting[1]
        return await asyncio.shield(future)

    async def submit_alone(self, key: str, item: Item) -> Result:
        """The result for `item` itself, sent after any other item of its key."""
        while (waiting := self._waiting.get(key)) is not None:
            await asyncio.wait([waiting[1]])
        return await asyncio.shield(self._add(key, item))

    def refuse_waiting(self, error: Exception) -> None:
        """Fail all that has not been sent."""
        waiting, self._waiting = self._waiting, {}
        for _, future in waiting.values():
            _fail(future, error)

    def _add(self, key: str, item: Item) -> asyncio.Future[Result]:
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting[key] = (item, future)
        self._schedule()
        return future

    def _schedule(self) -> None:
        if not self._is_scheduled and self._waiting and self._calls < self._in_flight_max:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._send)

    def _send(self) -> None:
        self._is_scheduled = False
        if self._calls >= self._in_flight_max:
            return
        keys = [key for key in self._waiting if key not in self._in_flight][:BATCH_MAX]
        if not keys:
            return
        batch = {key: self._waiting.pop(key) for key in keys}
        self._in_flight.update(keys)
        self._calls += 1
        self._spawn(self._run(batch))
        self._schedule()

    async def _run(self, batch: dict[str, tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._work([item for item, _ in batch.values()])
        except Exception as error:  # noqa: BLE001 whoever submitted is told, whatever it is
            for _, future in batch.values():
                _fail(future, error)
        else:
            for (_, future), result in zip(batch.values(), results, strict=True):
                if not future.done():
                    future.set_result(result)
        finally:
            for _, future in batch.values():
                future.cancel()
            self._in_flight.difference_update(batch)
            self._calls -= 1
            self._schedule()


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
        # Whoever waited may be gone; the error is then nobody's, not a warning at exit.
        future.exception()
