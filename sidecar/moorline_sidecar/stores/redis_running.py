"""Carrying out calls: scripts by their hashes, in one exchange, in time, with errors translated."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, TypeAlias

from msgspec import Struct
from redis.asyncio.connection import Connection
from redis.exceptions import NoScriptError, ResponseError

from moorline_sidecar.errors import OutcomeUnknown, StoreRefused, StoreUnavailable
from moorline_sidecar.stores.base import CALL_SECONDS
from moorline_sidecar.stores.redis_client import Client, RedisConnection
from moorline_sidecar.stores.redis_errors import (
    CALL_ERRORS,
    NeverSent,
    failure,
    judged,
    refusal,
)
from moorline_sidecar.stores.redis_records import Value
from moorline_sidecar.stores.redis_scripts import Script

Command: TypeAlias = tuple[Any, ...]


class Call(Struct, frozen=True):
    """A script to be run, on whole keys."""

    script: Script
    keys: tuple[str, ...] = ()
    arguments: tuple[Value, ...] = ()

    @property
    def command(self) -> Command:
        return ("EVALSHA", self.script.sha, len(self.keys), *self.keys, *self.arguments)


class Runner:
    """Runs the calls of one store."""

    def __init__(self, connection: RedisConnection) -> None:
        self.connection = connection

    async def read(self, calls: Sequence[Call]) -> list[Any]:
        """The replies, all of which are good."""
        return await self._run(calls, writes=False)

    async def write(self, calls: Sequence[Call]) -> list[Any]:
        """As `judged`."""
        return await self._run(calls, writes=True)

    async def change(self, call: Call) -> Any:  # noqa: ANN401 whatever the script answers
        """The reply to a single write. Raises StoreRefused, too."""
        (reply,) = await self.write([call])
        if isinstance(reply, StoreUnavailable):
            raise reply
        return reply

    async def load(self, scripts: Sequence[Script]) -> None:
        """Have the server know them; who meets one that it has forgotten does so, too."""
        await self._ask([("SCRIPT", "LOAD", script.text) for script in scripts])

    async def ask(self, *command: str) -> Any:  # noqa: ANN401 whatever the server answers
        """The reply to a command that is no script, and changes nothing."""
        (reply,) = await self._ask([command])
        return reply

    async def close(self) -> None:
        await self.connection.close()

    async def _ask(self, commands: Sequence[Command]) -> list[Any]:
        deadline = _deadline()
        while True:
            client: Client | None = None
            try:
                async with self.connection.use() as client:
                    return _good(await _exchange(client, commands, deadline, writes=False))
            except StoreUnavailable:
                if not await self.connection.refresh(client):
                    raise

    async def _run(self, calls: Sequence[Call], *, writes: bool) -> list[Any]:
        """The replies, asked for again if nothing was applied and the URI has changed."""
        deadline = _deadline()
        is_second = False
        while True:
            client: Client | None = None
            try:
                async with self.connection.use() as client:
                    return await _replies(client, calls, deadline, writes=writes)
            except StoreUnavailable:
                is_over = asyncio.get_running_loop().time() >= deadline
                if is_over or not await self.connection.refresh(client):
                    # A connection may have broken in the moment in which it was taken.
                    if is_over or is_second or client is None:
                        raise
                    is_second = True


async def exchange(connection: Connection, commands: Sequence[Command]) -> list[Any]:
    """The replies, errors of the server among them."""
    replies: list[Any] = []
    await _exchange_on(connection, commands, replies)
    return replies


async def _replies(
    client: Client, calls: Sequence[Call], deadline: float, *, writes: bool
) -> list[Any]:
    replies = await _exchange(client, [call.command for call in calls], deadline, writes=writes)
    missing = [n for n, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
    if missing:
        # The server was started again, or is another one: these were surely not begun.
        try:
            again = await _with_scripts(
                client, [calls[n] for n in missing], deadline, writes=writes
            )
        except StoreUnavailable as error:
            if writes and len(missing) < len(calls):
                raise OutcomeUnknown(str(error)) from error
            raise
        for n, reply in zip(missing, again, strict=True):
            replies[n] = reply
    if any(_is_away(reply) for reply in replies):
        # By now the primary, or the user, may be another one.
        await client.forget()
    return judged(replies) if writes else _good(replies)


async def _with_scripts(
    client: Client, calls: Sequence[Call], deadline: float, *, writes: bool
) -> list[Any]:
    texts = dict.fromkeys(call.script.text for call in calls)
    commands: list[Command] = [("SCRIPT", "LOAD", text) for text in texts]
    commands += [call.command for call in calls]
    replies = await _exchange(client, commands, deadline, writes=writes)
    return replies[len(texts) :]


async def _exchange(
    client: Client, commands: Sequence[Command], deadline: float, *, writes: bool
) -> list[Any]:
    replies: list[Any] = []
    was_sent = False
    try:
        async with asyncio.timeout_at(deadline), client.lease() as connection:
            was_sent = writes
            await _exchange_on(connection, commands, replies)
    except CALL_ERRORS as error:
        # The others lead to the same server: not each call is to find out by itself.
        await client.forget()
        raise failure(error, was_sent=was_sent, replies=len(replies)) from error
    return replies


async def _exchange_on(
    connection: Connection, commands: Sequence[Command], replies: list[Any]
) -> None:
    packed = connection.pack_commands(commands)
    try:
        await connection.send_packed_command(packed, check_health=False)
    except RuntimeError as error:
        # What uvloop says of a connection that is closed.
        raise NeverSent(str(error)) from error
    for _ in commands:
        try:
            replies.append(await connection.read_response())
        except ResponseError as error:
            replies.append(error)


def _is_away(reply: object) -> bool:
    return isinstance(reply, ResponseError) and not isinstance(refusal(reply), StoreRefused)


def _good(replies: list[Any]) -> list[Any]:
    """Raises for the first one that is an error."""
    for reply in replies:
        if isinstance(reply, ResponseError):
            raise refusal(reply) from reply
    return replies


def _deadline() -> float:
    return asyncio.get_running_loop().time() + CALL_SECONDS
