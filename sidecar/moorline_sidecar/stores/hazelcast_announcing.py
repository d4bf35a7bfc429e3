"""Putting announcements into the ring `<map>.changes`.

One call is on its way at a time, and what comes up meanwhile goes with the next: writers share it.
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
from moorline_sidecar.stores.hazelcast_announcements import Begun, Over, Step, items_of
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
        if self._newest is not None:
            self._newest.hurry()
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

    def tell(self, failure: Exception | None = None) -> None:
        if self.told.done():
            return
        if failure is None:
            self.told.set_result(None)
        else:
            self.told.set_exception(failure)


class _Line:
    """What waits to be put into the ring by one client.

    What is not answered soon, or goes wrong, is sent again together with what has come up since: an
    item that comes twice does no harm, and one whose answer was lost would hold up all that come
    after it. Two or four calls on their way at once were tried: nobody was faster.
    """

    def __init__(
        self, client: HazelcastClient, ring_name: str, tasks: Tasks, over: deque[Over]
    ) -> None:
        self.client = client
        self._loop = asyncio.get_running_loop()
        self._ring_name = ring_name
        self._tasks = tasks
        self._waiters: list[_Waiter] = []
        self._over = over
        self._on_its_way: object | None = None
        self._alarm: asyncio.TimerHandle | None = None

    async def begin(self, begun: list[Begun]) -> None:
        waiter = _Waiter(begun, self._loop.create_future(), self._loop.time() + CALL_SECONDS)
        self._waiters.append(waiter)
        self.hurry()
        await waiter.told

    def end(self, over: Sequence[Over]) -> None:
        self._over += over
        if self._on_its_way is None and self._alarm is None:
            self._go_on_in(OVER_SECONDS)

    def hurry(self) -> None:
        """Send what waits for company."""
        if self._on_its_way is None:
            self._go_on()

    def _go_on_in(self, seconds: float) -> None:
        self._alarm = self._loop.call_later(seconds, self._go_on)

    def _go_on(self) -> None:
        """Send what there is, whatever is on its way."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._waiters or self._over:
            self._on_its_way = object()
            _ = self._tasks.begin(self._send(self._on_its_way))

    async def _send(self, this: object) -> None:
        """Put what waits into the ring, and then the next, until there is nothing urgent."""
        ring = await ring_of(self.client, self._ring_name)
        while self._on_its_way is this and (self._waiters or self._over):
            waiters, self._waiters = self._waiters, []
            over = list(self._over)
            self._over.clear()
            items = items_of([each for waiter in waiters for each in waiter.begun], over)
            late = self._loop.call_later(AGAIN_SECONDS, self._overtake, this, waiters, over)
            failure = None
            try:
                await (ring.add(items[0]) if len(items) == 1 else ring.add_all(items))
            except CLIENT_ERRORS as error:
                failure = error
            late.cancel()
            if failure is None:
                for waiter in waiters:
                    waiter.tell()
            elif self._on_its_way is this:
                pause = PAUSE_SECONDS if waiters else PAUSE_SECONDS_MAX
                self._fail(failure, waiters, over, pause)
                return
            if not self._waiters:
                break
        if self._on_its_way is this:
            self._on_its_way = None
            if self._over:
                self._go_on_in(OVER_SECONDS)

    def _overtake(self, which: object, waiters: list[_Waiter], over: list[Over]) -> None:
        """Send again what is not answered; if its answer comes at last, it counts as well."""
        if self._on_its_way is which:
            self._fail(TimeoutError("the ring does not answer"), waiters, over, 0.0)

    def _fail(
        self, failure: Exception, waiters: list[_Waiter], over: list[Over], pause: float
    ) -> None:
        """Send it again after a pause, where that is of use."""
        self._on_its_way = None
        is_gone = not self.client.lifecycle_service.is_running()
        now = self._loop.time()
        again = []
        for waiter in [*waiters, *self._waiters]:
            if is_gone or now >= waiter.until or isinstance(failure, NOT_BEGUN):
                waiter.tell(failure)
            else:
                again.append(waiter)
        self._waiters = again
        self._over.extendleft(reversed(over))
        if not is_gone:
            self._go_on_in(pause)
