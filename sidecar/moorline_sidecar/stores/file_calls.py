"""Blocking calls on threads of their own, bounded in number and in time.

A thread that waits for a disk cannot be interrupted. A call that is given up goes on to the next
point at which it asks, and applies nothing from then on; whether it had begun to apply something
is known at that moment.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from moorline_sidecar.errors import OutcomeUnknown, StoreUnavailable
from moorline_sidecar.stores.base import CALL_SECONDS

Result = TypeVar("Result")


class GivenUp(Exception):
    """Nobody waits for the call any more; what it had not applied by now stays so."""


class Call:
    """One call, as its thread and whoever waits for it see it."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._mutex = threading.Lock()
        self._is_given_up = False
        self.is_applying = False
        """Whether something of it may have been applied."""

    @property
    def seconds_left(self) -> float:
        return self._deadline - time.monotonic()

    def check(self) -> None:
        """Raise GivenUp if nobody waits any more."""
        if self._is_given_up:
            raise GivenUp

    def begin_applying(self) -> None:
        """To be called before anything changes for others; raises GivenUp."""
        with self._mutex:
            self.check()
            self.is_applying = True

    def give_up(self) -> bool:
        """Whether something may have been applied; nothing more is begun."""
        with self._mutex:
            self._is_given_up = True
            return self.is_applying


Operation = Callable[[Call], Result]


class Threads:
    """Up to `count` threads, begun as they are needed. They keep no process from its end."""

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._name = name
        self._begun = 0
        self._idle = 0
        self._is_closed = False
        self._work: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()

    async def run(self, operation: Operation[Result], seconds: float = CALL_SECONDS) -> Result:
        """What `operation` returns or raises, in time.

        Raises:
            StoreUnavailable: it took too long; surely nothing was applied.
            OutcomeUnknown: it took too long, and something may have been, or may yet be.
        """
        call = Call(seconds)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()

        def work() -> None:
            try:
                call.check()
                result = operation(call)
            except BaseException as error:  # noqa: BLE001 whoever waits is told, whatever it is
                settled = error
                tell = lambda: _fail(future, settled)  # noqa: E731 one of two
            else:
                tell = lambda: _succeed(future, result)  # noqa: E731
            with suppress(RuntimeError):
                # The loop may be closed by now: then nobody waits.
                loop.call_soon_threadsafe(tell)

        self._submit(work)
        try:
            done, _ = await asyncio.wait([future], timeout=seconds)
        except asyncio.CancelledError:
            call.give_up()
            future.cancel()
            raise
        if not done:
            future.cancel()
            if call.give_up():
                raise OutcomeUnknown("the disk did not confirm the write in time")
            raise StoreUnavailable("the disk did not answer in time")
        return future.result()

    def close(self) -> None:
        """Let the threads end when they have done what there is."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _submit(self, work: Callable[[], None]) -> None:
        with self._changed:
            self._work.append(work)
            if self._idle >= len(self._work) or self._begun >= self._count:
                self._changed.notify()
                return
            self._begun += 1
        threading.Thread(target=self._serve, name=self._name, daemon=True).start()

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._idle += 1
                while not self._work and not self._is_closed:
                    self._changed.wait()
                self._idle -= 1
                if not self._work:
                    return
                work = self._work.popleft()
            work()
            del work


def _succeed(future: asyncio.Future[Any], result: object) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
