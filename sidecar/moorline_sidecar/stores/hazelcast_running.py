"""Carrying out a call on the cluster: in time, with the client's errors translated.

A call that is given up is never cancelled: the client forgets to clean up after one. It goes on
unheard, and sends nothing more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

from hazelcast.asyncio import HazelcastClient
from hazelcast.core import HazelcastJsonValue

from moorline_sidecar.errors import MoorlineError, OutcomeUnknown, StoreRefused, StoreUnavailable
from moorline_sidecar.stores.base import CALL_SECONDS
from moorline_sidecar.stores.connection import UriConnection
from moorline_sidecar.stores.given_up import Tasks
from moorline_sidecar.stores.hazelcast_announcing import Announcer
from moorline_sidecar.stores.hazelcast_client import Link
from moorline_sidecar.stores.hazelcast_errors import CLIENT_ERRORS, FULL, NOT_BEGUN, readable

Result = TypeVar("Result")
Map: TypeAlias = Any
"""The client's proxy of a map."""


class Attempt:
    """One try of a call; `map` is that of the sessions."""

    def __init__(self, client: HazelcastClient, sessions: Map, announcer: Announcer) -> None:
        self.client = client
        self.map = sessions
        self.announcer = announcer
        self._changes = 0
        self._is_given_up = False

    @property
    def may_have_changed(self) -> bool:
        """Whether something went out that perhaps was done, or will be."""
        return self._changes > 0

    def give_up(self) -> None:
        """Nothing is sent any more."""
        self._is_given_up = True

    async def change(self, send: Callable[[], Awaitable[Result]]) -> Result:
        """What the cluster answers to something that changes it."""
        if self._is_given_up:
            raise GivenUp
        self._changes += 1
        try:
            return await send()
        except NOT_BEGUN:
            self._changes -= 1
            raise

    def members(self) -> frozenset[UUID | None]:
        """Those that the client knows to be in the cluster; one that starts again is another."""
        return frozenset(each.uuid for each in self.client.cluster_service.get_members())

    async def replace(self, key: str, before: str, after: str) -> bool:
        """Whether the key had exactly this value, and now has the other."""
        values = HazelcastJsonValue(before), HazelcastJsonValue(after)
        return bool(await self.change(lambda: self.map.replace_if_same(key, *values)))

    async def remove(self, key: str, before: str) -> bool:
        """Whether the key had exactly this value; it is gone then."""
        value = HazelcastJsonValue(before)
        return bool(await self.change(lambda: self.map.remove_if_same(key, value)))

    async def texts(self, keys: list[str]) -> dict[str, str]:
        """The values of those that exist among the keys."""
        try:
            found = await self.map.get_all(keys)
        except ExceptionGroup as errors:
            # One for each partition that was asked; the first says as much as all.
            raise errors.exceptions[0] from None
        return {
            key: value.to_string()
            for key, value in found.items()
            if isinstance(value, HazelcastJsonValue)
        }


Operation: TypeAlias = Callable[[Attempt], Coroutine[Any, Any, Result]]


class GivenUp(Exception):
    """Nobody waits any more, so that it was not sent."""


class Runner:
    """Carries out the calls of one store, on the map of this name."""

    def __init__(self, connection: UriConnection[Link], name: str) -> None:
        self._connection = connection
        self._name = name
        self._tasks = Tasks()
        self._announcer = Announcer(name)
        self._greeting: Operation[object] | None = None
        self._greeted: HazelcastClient | None = None

    def on_connected(self, greeting: Operation[object]) -> None:
        """Have it carried out on every new client, beside its first call."""
        self._greeting = greeting

    async def run(self, operation: Operation[Result], *, seconds: float = CALL_SECONDS) -> Result:
        """What `operation` returns; tried again if the connection was lost before it changed."""
        deadline = asyncio.get_running_loop().time() + seconds
        has_been_lost = False
        while True:
            link: Link | None = None
            client: HazelcastClient | None = None
            try:
                async with self._connection.use() as link:
                    client = await link.client(_left(deadline))
                    return await self._try(client, operation, deadline)
            except StoreUnavailable:
                if _left(deadline) <= 0:
                    raise
                was_lost = client is not None and not client.lifecycle_service.is_running()
                is_again = was_lost and not has_been_lost
                if not (is_again or await self._connection.refresh(link)):
                    raise
                has_been_lost = has_been_lost or was_lost

    async def close(self) -> None:
        """Ends what was given up, and then the connections."""
        deadline = asyncio.get_running_loop().time() + CALL_SECONDS
        await self._tasks.wait(_left(deadline))
        await self._announcer.close(_left(deadline))
        # What waited for the ring has only now been sent.
        await self._tasks.wait(_left(deadline))
        await self._connection.close()

    async def _try(
        self, client: HazelcastClient, operation: Operation[Result], deadline: float
    ) -> Result:
        attempts: list[Attempt] = []

        async def carry_out() -> Result:
            attempt = Attempt(client, await client.get_map(self._name), self._announcer)
            if self._greeting is not None and self._greeted is not client:
                self._greeted = client
                _ = self._tasks.begin(self._greeting(attempt))
            attempts.append(attempt)
            return await operation(attempt)

        task = self._tasks.begin(carry_out())
        try:
            done, _ = await asyncio.wait({task}, timeout=_left(deadline))
            if done:
                return task.result()
        except (*CLIENT_ERRORS, StoreUnavailable) as error:
            may_have_changed = any(attempt.may_have_changed for attempt in attempts)
            raise _meaning(error, may_have_changed=may_have_changed) from error
        finally:
            for attempt in attempts:
                attempt.give_up()
        if any(attempt.may_have_changed for attempt in attempts):
            raise OutcomeUnknown("there was no answer in time")
        raise StoreUnavailable("there was no answer in time")


def _meaning(error: Exception, *, may_have_changed: bool) -> MoorlineError:
    if isinstance(error, StoreUnavailable):
        return OutcomeUnknown(str(error)) if may_have_changed else error
    if may_have_changed:
        return OutcomeUnknown(readable(error))
    if isinstance(error, FULL):
        return StoreRefused(readable(error))
    return StoreUnavailable(readable(error))


def _left(deadline: float) -> float:
    return max(0.0, deadline - asyncio.get_running_loop().time())
