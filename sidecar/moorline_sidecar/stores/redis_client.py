"""Connections to the primary that a URI names, and their pool.

The driver's own pool and client cannot say whether a write had gone out before a connection broke,
so that they are not used; its connections are.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeAlias

from redis.asyncio.connection import Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from moorline_sidecar.stores.connection import UriConnection
from moorline_sidecar.stores.redis_errors import CALL_ERRORS, NeverSent
from moorline_sidecar.stores.redis_uri import Address, Target, target_of

CONNECT_SECONDS: Final = 2.0
"""For a server to accept: below the 3 s that an answer may take."""

SENTINEL_SECONDS: Final = 0.5
"""For one Sentinel to answer: there are others."""

CONNECTIONS_MAX: Final = 10
"""Calls under way at once: a handful, as the sessions layer makes them in batches."""


class Client:
    """What can be reached by one connection URI."""

    def __init__(self, uri: str) -> None:
        """Raises ConfigurationError if the URI is of no use."""
        self._target = target_of(uri)
        self._sentinel = _sentinel(self._target) if self._target.service else None
        self._idle: list[Connection] = []
        self._turns = asyncio.Semaphore(CONNECTIONS_MAX)
        self._is_closed = False

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Connection]:
        """A connection for one exchange; it is used again unless the exchange is broken off."""
        async with self._turns:
            connection = await self._take()
            try:
                yield connection
            except BaseException:
                # Answers may be on their way that nobody is going to read.
                await drop(connection)
                raise
            if self._is_closed:
                await drop(connection)
            else:
                self._idle.append(connection)

    async def connect(self) -> Connection:
        """A new connection, of nobody else's."""
        address = await self._address()
        options: dict[str, Any] = {
            "host": address.host,
            "port": address.port,
            "db": self._target.database,
            **self._target.login,
            "client_name": "moorline-sidecar",
            "driver_info": None,
            # The other protocol brings messages that nobody asked for.
            "protocol": 2,
            # Each call has a time of its own, and is not repeated behind our back.
            "socket_timeout": None,
            "socket_connect_timeout": CONNECT_SECONDS,
            "retry": Retry(NoBackoff(), 0),
        }
        tls = self._target.tls
        connection = Connection(**options) if tls is None else SSLConnection(**options, **tls)
        try:
            await connection.connect()  # type: ignore[no-untyped-call] # of the driver
        except RuntimeError as error:
            # What uvloop says of a connection that was closed meanwhile.
            await drop(connection)
            raise NeverSent(str(error)) from error
        except BaseException:
            await drop(connection)
            raise
        return connection

    async def forget(self) -> None:
        """Connect anew from now on: the primary may be another one."""
        idle, self._idle = self._idle, []
        for connection in idle:
            await drop(connection)

    async def close(self) -> None:
        self._is_closed = True
        await self.forget()
        if self._sentinel is not None:
            for each in self._sentinel.sentinels:
                with suppress(*CALL_ERRORS):
                    await each.aclose()

    async def _take(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if await _is_in_order(connection):
                return connection
            await drop(connection)
        return await self.connect()

    async def _address(self) -> Address:
        if self._sentinel is None:
            return self._target.addresses[0]
        host, port = await self._sentinel.discover_master(self._target.service)
        return Address(host, int(port))


RedisConnection: TypeAlias = UriConnection[Client]


async def drop(connection: Connection) -> None:
    with suppress(*CALL_ERRORS):
        await connection.disconnect(nowait=True)


async def _is_in_order(connection: Connection) -> bool:
    """Whether it is open, with nothing to be read on it."""
    if not connection.is_connected:
        return False
    try:
        return not await connection.can_read()
    except CALL_ERRORS:
        return False


def _sentinel(target: Target) -> Sentinel:
    times = {"socket_timeout": SENTINEL_SECONDS, "socket_connect_timeout": SENTINEL_SECONDS}
    options = {**times, "retry": Retry(NoBackoff(), 0), **target.sentinel_login}
    if target.tls is not None:
        options |= {"ssl": True, **target.tls}
    addresses = [(address.host, address.port) for address in target.addresses]
    return Sentinel(addresses, sentinel_kwargs=options)  # type: ignore[no-untyped-call] # of the driver
