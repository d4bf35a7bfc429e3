"""Putting announcements into the ring `<map>.changes`.

One item is on its way at a time, and what comes up meanwhile goes in the next: writers share it.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from hazelcast.asyncio import HazelcastClient
from hazelcast.internal.asyncio_proxy.manager import RINGBUFFER_SERVICE
from msgspec import Struct

from moorline_sidecar.stores.base import CALL_SECONDS
from moorline_sidecar.stores.given_up import Tasks
from moorline_sidecar.stores.hazelcast_announcements import Begun, Over, Step, item_of
from moorline_sidecar.stores.hazelcast_errors import CLIENT_ERRORS, NOT_BEGUN

Ring: TypeAlias = Any
"""The client's proxy of a ring."""

OVER_SECONDS: Final = 0.01
"""That an end waits for a beginning to go with: nobody waits for it."""

AGAIN_SECONDS: Final = 0.5
"""Until an item that was not answered is sent again."""

PAUSE_SECONDS: Final = 0.05
PAUSE_SECONDS_MAX: Final = 1.0
"""Before what went wrong is sent again; the longer one where nobody waits for it."""

OVERS_MAX: Final = 1_000
"""Ends that wait for the ring to be in reach; of more, readers find out by themselves."""

_FIRST_BITS: Final = 62
"""Of the first number of a process: no other has the same, and none becomes too large."""


def ring_name(map_name: str) -> str:
    return f"{map_name}.changes"


async def ring_of(client: HazelcastClient, name: str) -> Ring:
    """The ring of that name, which a member makes when something is put into it.

    Having it made, as the client's own verb does, is a call of which the client keeps a second
    future: if it fails, an error that nobody can ask for goes to the log.
    """
    proxies: Any = client._proxy_manager  # noqa: SLF001 the way of its reliable topics
    return await proxies.get_or_create(RINGBUFFER_SERVICE, name, create_on_remote=False)


class Announcer:
    """Announces the changes of one store."""

    def __init__(self, map_name: str) -> None:
        self._ring_name = ring_name(map_name)
        self._numbers = itertools.count(secrets.randbits(_FIRST_BITS))
        self._tasks = Tasks()
        # Of all lines: what one cannot tell any more another does.
        self._over: deque[Over] = deque(maxlen=OVERS_MAX)
        self._newest: _Line | None = None

    async def begin(self, client: HazelcastClient, steps: Mapping[str, Step]) -> dict[str, Begun]:
        """Announce those that have something to announce; when this returns, the ring has it.

        Raises the client's errors: then nobody may carry out the steps.
        """
        begun = {
            key: step.begun(next(self._numbers), key)
            for key, step in steps.items()
            if step.announced is not None
        }
        if begun:
            line = self._line(client)
            try:
                await line.begin(list(begun.values()))
            except CLIENT_ERRORS:
                # Perhaps it has it all the same.
                line.end([Over(each.id, each.key, is_applied=False) for each in begun.values()])
                raise
        return begun

    def end(self, client: HazelcastClient, over: Sequence[Over]) -> None:
        """Announce ends soon."""
        if over:
            self._line(client).end(over)

    async def close(self, seconds: float) -> None:
        """Let what is on its way arrive, for so long at most."""
        await self._tasks.wait(seconds)

    def _line(self, client: HazelcastClient) -> _Line:
        if self._newest is None or self._newest.client is not client:
            self._newest = _Line(client, self._ring_name, self._tasks, self._over)
        return self._newest


class _Waiter(Struct, frozen=True, eq=False):
    """Who must not go on before the ring has these, and when nobody waits for it any more."""

    begun: list[Begun]
    told: asyncio.Future[None]
    until: float


class _Line:
    """What waits to be put into the ring by one client.

    What is not answered soon, or goes wrong, is sent again together with what has come up since: an
    item that comes twice does no harm, and one whose answer was lost would hold up all that come
    after it.
    """

    def __init__(
        self, client: HazelcastClient, ring_name: str, tasks: Tasks, over: deque[Over]
    ) -> None:
        self.client = client
        self._ring_name = ring_name
        self._tasks = tasks
        self._is_sending = False
        self._waiters: list[_Waiter] = []
        self._over = over
        self._hurry = asyncio.Event()

    async def begin(self, begun: list[Begun]) -> None:
        loop = asyncio.get_running_loop()
        waiter = _Waiter(begun, loop.create_future(), loop.time() + CALL_SECONDS)
        self._waiters.append(waiter)
        self._hurry.set()
        self._go_on()
        await waiter.told

    def end(self, over: Sequence[Over]) -> None:
        self._over += over
        self._go_on()

    def _go_on(self) -> None:
        if not self._is_sending:
            self._is_sending = True
            _ = self._tasks.begin(self._send_all())

    async def _send_all(self) -> None:
        try:
            while self._waiters or (self._over and self.client.lifecycle_service.is_running()):
                if not self._waiters:
                    await self._linger(OVER_SECONDS)
                await self._send()
        finally:
            self._is_sending = False

    async def _linger(self, seconds: float) -> None:
        """Wait for another who must not go on, for so long at most."""
        try:
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        except TimeoutError:
            pass

    async def _send(self) -> None:
        waiters, self._waiters = self._waiters, []
        over = list(self._over)
        self._over.clear()
        self._hurry.clear()
        put = self._tasks.begin(
            self._put(item_of([each for waiter in waiters for each in waiter.begun], over))
        )
        done, _ = await asyncio.wait({put}, timeout=AGAIN_SECONDS)
        failure = put.result() if done else TimeoutError("the ring does not answer")
        if failure is None:
            for waiter in waiters:
                waiter.told.set_result(None)
        else:
            await self._fail(failure, waiters, over)

    async def _fail(
        self, failure: Exception, waiters: Sequence[_Waiter], over: Sequence[Over]
    ) -> None:
        self._over.extendleft(reversed(over))
        is_final = isinstance(failure, NOT_BEGUN) or not self.client.lifecycle_service.is_running()
        now = asyncio.get_running_loop().time()
        again = [each for each in waiters if now < each.until and not is_final]
        for waiter in waiters:
            if waiter not in again:
                waiter.told.set_exception(failure)
        self._waiters[:0] = again
        if not isinstance(failure, TimeoutError):
            await self._linger(PAUSE_SECONDS if again else PAUSE_SECONDS_MAX)

    async def _put(self, item: bytearray) -> Exception | None:
        """What went wrong."""
        try:
            ring = await ring_of(self.client, self._ring_name)
            await ring.add(item)
        except CLIENT_ERRORS as error:
            return error
        return None
