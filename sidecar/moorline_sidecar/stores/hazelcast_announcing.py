"""Putting announcements into the ring `<map>.changes`.

One item is on its way at a time, and what comes up meanwhile goes in the next: writers share it.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from hazelcast.asyncio import HazelcastClient
from hazelcast.internal.asyncio_proxy.manager import RINGBUFFER_SERVICE

from moorline_sidecar.stores.given_up import Tasks
from moorline_sidecar.stores.hazelcast_announcements import Begun, Over, Step, item_of
from moorline_sidecar.stores.hazelcast_errors import CLIENT_ERRORS

Ring: TypeAlias = Any
"""The client's proxy of a ring."""

OVER_SECONDS: Final = 0.01
"""That an end waits for a beginning to go with: nobody waits for it."""

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
        """Announce ends soon. Where that fails, readers find out by themselves."""
        if over:
            self._line(client).end(over)

    async def close(self, seconds: float) -> None:
        """Let what is on its way arrive, for so long at most."""
        await self._tasks.wait(seconds)

    def _line(self, client: HazelcastClient) -> _Line:
        if self._newest is None or self._newest.client is not client:
            self._newest = _Line(client, self._ring_name, self._tasks)
        return self._newest


class _Line:
    """What waits to be put into the ring by one client."""

    def __init__(self, client: HazelcastClient, ring_name: str, tasks: Tasks) -> None:
        self.client = client
        self._ring_name = ring_name
        self._tasks = tasks
        self._is_sending = False
        self._begun: list[Begun] = []
        self._over: list[Over] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._hurry = asyncio.Event()

    async def begin(self, begun: list[Begun]) -> None:
        self._begun += begun
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        self._hurry.set()
        self._go_on()
        await waiting

    def end(self, over: Sequence[Over]) -> None:
        self._over += over
        self._go_on()

    def _go_on(self) -> None:
        if not self._is_sending:
            self._is_sending = True
            _ = self._tasks.begin(self._send_all())

    async def _send_all(self) -> None:
        try:
            while self._begun or self._over:
                if not self._begun:
                    await self._linger()
                await self._send()
        finally:
            self._is_sending = False

    async def _linger(self) -> None:
        try:
            async with asyncio.timeout(OVER_SECONDS):
                await self._hurry.wait()
        except TimeoutError:
            pass

    async def _send(self) -> None:
        item = item_of(self._begun, self._over)
        waiting, self._waiting = self._waiting, []
        self._begun, self._over = [], []
        self._hurry.clear()
        failure: BaseException | None = None
        try:
            ring = await ring_of(self.client, self._ring_name)
            await ring.add(item)
        except CLIENT_ERRORS as error:
            failure = error
        for each in waiting:
            if each.done():
                continue
            if failure is None:
                each.set_result(None)
            else:
                each.set_exception(failure)
