"""Work that is gathered while other work is under way, and done together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

from moorline_sidecar.errors import Overloaded

BATCH_MAX: Final = 64
"""Items in one call; longer ones would only delay the first of their answers."""

IN_FLIGHT_MAX: Final = 4
"""Calls under way at once: enough to hide a round trip, few enough to let batches grow."""

ENOUGH: Final = 16
"""Items for which a call is made that is not a ready one."""

PATIENCE_SECONDS: Final = 0.01
"""After it such a call is made for fewer, too: the ready ones may be on dead connections."""

WAITING_MAX: Final = 8_192
"""Items that wait to be sent: one for each client that may be connected, and as many besides."""

WAIT_SECONDS: Final = 1.0
"""What waited longer is not sent any more: its call could not end within the 3 s of an answer."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """Turns single submissions into few calls of `work`.

    An item that has not been sent yet is shared by all who submit its key. One that was sent is
    not, as its answer may be older than the question: the next call for that key starts when it is
    back, so that one is in flight per key. `work` returns a result for each item, in order.
    So many calls are ready for whatever waits; up to `in_flight_max`, others are for many items.
    What is one item too many, or has waited for too long, fails with what `overloaded` makes.
    """

    def __init__(  # noqa: PLR0913 each is a fact of its own
        self,
        work: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        spawn: Callable[[Awaitable[None]], object],
        *,
        ready: int = IN_FLIGHT_MAX,
        in_flight_max: int = IN_FLIGHT_MAX,
        waiting_max: int = WAITING_MAX,
        overloaded: Callable[[], Exception] = Overloaded,
    ) -> None:
        self._work = work
        self._spawn = spawn
        self._ready = ready
        self._in_flight_max = in_flight_max
        self._waiting_max = waiting_max
        self._overloaded = overloaded
        self._calls = 0
        self._is_scheduled = False
        self._patience: asyncio.TimerHandle | None = None
        self._waiting: dict[str, _Waiting[Item, Result]] = {}
        self._in_flight: set[str] = set()

    async def submit(self, key: str, item: Item) -> Result:
        """The result for `item`, or for another item of that key which has not been sent yet."""
        waiting = self._waiting.get(key)
        return await (self._add(key, item) if waiting is None else waiting.join())

    async def submit_alone(self, key: str, item: Item) -> Result:
        """The result for `item` itself, sent after any other item of its key."""
        while (waiting := self._waiting.get(key)) is not None:
            await asyncio.wait([waiting.join()])
        return await self._add(key, item)

    def refuse_waiting(self, error: Exception) -> None:
        """Fail all that has not been sent."""
        waiting, self._waiting = self._waiting, {}
        for each in waiting.values():
            each.fail(error)

    def _add(self, key: str, item: Item) -> asyncio.Future[Result]:
        if len(self._waiting) >= self._waiting_max:
            raise self._overloaded()
        waiting = self._waiting[key] = _Waiting[Item, Result](item)
        self._schedule()
        return waiting.join()

    def _schedule(self) -> None:
        if self._is_scheduled or not self._waiting or self._calls >= self._in_flight_max:
            return
        if self._calls < self._ready or len(self._waiting) >= ENOUGH:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._send)
        elif self._patience is None:
            loop = asyncio.get_running_loop()
            self._patience = loop.call_later(PATIENCE_SECONDS, self._send_few)

    def _send_few(self) -> None:
        self._patience = None
        if not self._is_scheduled:
            self._send()

    def _send(self) -> None:
        self._is_scheduled = False
        if self._calls >= self._in_flight_max:
            return
        self._refuse_late()
        keys = [key for key in self._waiting if key not in self._in_flight][:BATCH_MAX]
        if not keys:
            return
        batch = {key: self._waiting.pop(key) for key in keys}
        self._in_flight.update(keys)
        self._calls += 1
        self._spawn(self._run(batch))
        self._schedule()

    def _refuse_late(self) -> None:
        """Fail what has waited for too long; the oldest stand first."""
        before = asyncio.get_running_loop().time() - WAIT_SECONDS
        late: list[str] = []
        for key, waiting in self._waiting.items():
            if waiting.since >= before:
                break
            late.append(key)
        for key in late:
            self._waiting.pop(key).fail(self._overloaded())

    async def _run(self, batch: dict[str, _Waiting[Item, Result]]) -> None:
        try:
            results = await self._work([waiting.item for waiting in batch.values()])
        except Exception as error:  # noqa: BLE001 whoever submitted is told, whatever it is
            for waiting in batch.values():
                waiting.fail(error)
        else:
            for waiting, result in zip(batch.values(), results, strict=True):
                waiting.succeed(result)
        finally:
            for waiting in batch.values():
                waiting.cancel()
            self._in_flight.difference_update(batch)
            self._calls -= 1
            self._schedule()


class _Waiting(Generic[Item, Result]):
    """An item, and a future for each who waits: one that is cancelled is nobody else's."""

    __slots__ = ("futures", "item", "since")

    def __init__(self, item: Item) -> None:
        self.futures: list[asyncio.Future[Result]] = []
        self.item = item
        self.since = asyncio.get_running_loop().time()

    def join(self) -> asyncio.Future[Result]:
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self.futures.append(future)
        return future

    def succeed(self, result: Result) -> None:
        for future in self.futures:
            if not future.done():
                future.set_result(result)

    def fail(self, error: Exception) -> None:
        for future in self.futures:
            if not future.done():
                future.set_exception(error)
                # Whoever waited may be gone; the error is then nobody's, not a warning at exit.
                future.exception()

    def cancel(self) -> None:
        for future in self.futures:
            future.cancel()
