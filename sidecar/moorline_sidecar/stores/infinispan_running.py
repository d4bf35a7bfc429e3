"""Carrying out a call on the servers: in time, with errors translated."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias, TypeVar

from moorline_sidecar.errors import OutcomeUnknown, StoreUnavailable
from moorline_sidecar.stores import infinispan_wire as wire
from moorline_sidecar.stores.base import CALL_SECONDS
from moorline_sidecar.stores.connection import UriConnection
from moorline_sidecar.stores.infinispan_client import Client, Connection
from moorline_sidecar.stores.infinispan_errors import CALL_ERRORS, ServerError, failure
from moorline_sidecar.stores.infinispan_wire import CHANGING, Reply, Request

Result = TypeVar("Result")


class Attempt:
    """One try of a call, on a connection of its own."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.may_have_changed = False
        """Whether something went out that was done, or may be."""

    async def ask(self, requests: Sequence[Request], *, changes: bool = True) -> list[Reply]:
        """The replies in order, those of a full server among them.

        `changes`: whether what they write is anybody's.

        Raises:
            ServerError: that of the first that went wrong, after all are through.
        """
        await self._connection.greet(
            each.cache for each in requests if each.operation != wire.Operation.PING
        )
        replies: dict[int, Reply] = {}
        had_changed = self.may_have_changed
        changing = {
            n for n, request in enumerate(requests) if changes and request.operation in CHANGING
        }
        self.may_have_changed |= bool(changing)
        await self._connection.exchange(requests, replies.__setitem__)
        # All are through: by now it is known which of them did what.
        self.may_have_changed = had_changed or any(
            _may_have_been_done(replies[n]) for n in changing
        )
        errors = [ServerError(reply) for reply in replies.values() if reply.is_error]
        for error in errors:
            if not error.is_full:
                raise error
        return [replies[n] for n in range(len(requests))]

    async def ask_one(self, request: Request) -> Reply:
        """Raises ServerError for a full server, too."""
        (reply,) = await self.ask([request])
        if reply.is_error:
            raise ServerError(reply)
        return reply


Operation: TypeAlias = Callable[[Attempt], Awaitable[Result]]


class Runner:
    """Carries out the calls of one store."""

    def __init__(self, connection: UriConnection[Client]) -> None:
        self._connection = connection

    async def run(self, operation: Operation[Result], *, seconds: float = CALL_SECONDS) -> Result:
        """What `operation` returns; tried again if nothing was changed and it may help."""
        deadline = asyncio.get_running_loop().time() + seconds
        is_second = False
        while True:
            client: Client | None = None
            try:
                async with self._connection.use() as client:
                    return await _try(client, operation, deadline)
            except StoreUnavailable:
                is_over = asyncio.get_running_loop().time() >= deadline
                if is_over or not await self._connection.refresh(client):
                    # A connection may have broken in the moment in which it was taken.
                    if is_over or is_second or client is None:
                        raise
                    is_second = True

    async def close(self) -> None:
        await self._connection.close()


async def _try(client: Client, operation: Operation[Result], deadline: float) -> Result:
    attempt: Attempt | None = None
    try:
        async with asyncio.timeout_at(deadline), client.lease() as connection:
            attempt = Attempt(connection)
            return await operation(attempt)
    except CALL_ERRORS as error:
        if not isinstance(error, ServerError):
            # The others lead to the same server: not each call is to find out by itself.
            client.forget()
        has_changed = attempt is not None and attempt.may_have_changed
        raise failure(error, may_have_changed=has_changed) from error
    except StoreUnavailable as error:
        if attempt is not None and attempt.may_have_changed:
            raise OutcomeUnknown(str(error)) from error
        raise


def _may_have_been_done(reply: Reply) -> bool:
    return ServerError(reply).is_begun if reply.is_error else reply.is_done
