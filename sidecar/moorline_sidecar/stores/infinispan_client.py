"""Connections to the servers that a URI names, and their pool.

Infinispan has no client for Python (docs/decisions.md), so that this is one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from moorline_sidecar.stores import infinispan_wire as wire
from moorline_sidecar.stores.infinispan_errors import CALL_ERRORS, LoginFailed, ServerError
from moorline_sidecar.stores.infinispan_scram import MECHANISMS, NotWhoTheySay, Scram
from moorline_sidecar.stores.infinispan_uri import Address, Target, target_of
from moorline_sidecar.stores.infinispan_wire import Reply, Request

CONNECT_SECONDS: Final = 2.0
"""For one server to accept and to know us: below the 3 s that an answer may take."""

CONNECTIONS_MAX: Final = 4
"""Calls under way at once, which the sessions layer makes in batches: a login costs the server tens
of milliseconds of work."""

REQUESTS_MAX: Final = 100
"""Under way on one connection at once: the server reads on while it answers."""


class Connection:
    """One that is open, for one exchange at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._number = 0
        self._greeted: set[str] = set()

    @property
    def is_in_order(self) -> bool:
        """Whether it is open, as far as we were told."""
        return not (self._writer.is_closing() or self._reader.at_eof())

    async def greet(self, caches: Iterable[str]) -> None:
        """Ask first whether the caches are there, as Infinispan's own clients do; once for each.

        A server that has just begun to start makes a cache ready when it is first asked for it:
        for anything else than this in a thread that it then waits for, so that it never starts
        (16.0.7, `make chaos` with seed 41).

        Raises:
            ServerError: one is not there, or not ready.
            OSError, EOFError, BadReply: as `wire.reply_from`.
        """
        for cache in caches:
            if cache and cache not in self._greeted:
                await self.ask(wire.ping(cache))
                self._greeted.add(cache)

    async def exchange(
        self, requests: Sequence[Request], on_reply: Callable[[int, Reply], None]
    ) -> None:
        """Send all of them; `on_reply` is told each reply with the place of its request.

        Raises:
            OSError, EOFError, BadReply: as `wire.reply_from`.
        """
        for first in range(0, len(requests), REQUESTS_MAX):
            some = requests[first : first + REQUESTS_MAX]
            pending = {self._number + n: request for n, request in enumerate(some, 1)}
            places = {number: first + n for n, number in enumerate(pending)}
            self._number += len(some)
            self._writer.write(b"".join(wire.packed(r, n) for n, r in pending.items()))
            await self._writer.drain()
            while pending:
                number, reply = await wire.reply_from(self._reader, pending)
                if pending.pop(number, None) is None:
                    # It says so of what it cannot read, by whatever number.
                    raise ServerError(reply)
                on_reply(places[number], reply)

    async def ask(self, request: Request) -> Reply:
        """Raises ServerError, too."""
        replies: list[Reply] = []
        await self.exchange([request], lambda _, reply: replies.append(reply))
        if replies[0].is_error:
            raise ServerError(replies[0])
        return replies[0]

    def drop(self) -> None:
        """Whatever is under way is not waited for."""
        transport = self._writer.transport
        transport.abort()


class Client:
    """What can be reached by one connection URI."""

    def __init__(self, uri: str) -> None:
        """Raises ConfigurationError if the URI is of no use."""
        self._target = target_of(uri)
        self._first = 0
        self._idle: list[Connection] = []
        self._turns = asyncio.Semaphore(CONNECTIONS_MAX)
        self._connecting = asyncio.Lock()
        self._is_closed = False

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Connection]:
        """A connection for one call; it is used again unless the call is broken off."""
        async with self._turns:
            connection = await self._take()
            try:
                yield connection
            except BaseException:
                # Answers may be on their way that nobody is going to read.
                connection.drop()
                raise
            if self._is_closed:
                connection.drop()
            else:
                self._idle.append(connection)

    def forget(self) -> None:
        """Connect anew from now on."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.drop()

    async def close(self) -> None:
        self._is_closed = True
        self.forget()
        # Their ends are told in the next rounds of the loop.
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def _take(self) -> Connection:
        if self._is_closed:
            raise ConnectionError("the store is closed")
        connection = self._pop()
        if connection is not None:
            return connection
        # One login after the other: each has the server work, and most callers that wait for it
        # find a connection that has become free.
        async with self._connecting:
            return self._pop() or await self._connect()

    def _pop(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_in_order:
                return connection
            connection.drop()
        return None

    async def _connect(self) -> Connection:
        """To the server that answered last, or the next one that does."""
        addresses = self._target.addresses
        failed: Exception | None = None
        for _ in addresses:
            address = addresses[self._first % len(addresses)]
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    return await _opened(self._target, address)
            except CALL_ERRORS as error:
                failed = failed or error
                # Where there is no time for another one, the next call begins with it.
                self._first += 1
        assert failed is not None  # noqa: S101 - there is an address
        raise failed


async def _opened(target: Target, address: Address) -> Connection:
    reader, writer = await asyncio.open_connection(
        address.host,
        address.port,
        ssl=target.tls,
        server_hostname=address.host if target.tls else None,
    )
    connection = Connection(reader, writer)
    try:
        if target.user:
            await _log_in(connection, target)
    except BaseException:
        connection.drop()
        raise
    return connection


async def _log_in(connection: Connection, target: Target) -> None:
    offered = (await connection.ask(wire.mechanisms())).text.split()
    found = next((name for name in MECHANISMS if name in offered), None)
    if found is None:
        raise LoginFailed(f"the server has none of {', '.join(MECHANISMS)}")
    scram = Scram(found, target.user, target.password)
    try:
        challenge = await connection.ask(wire.authenticate(found, scram.first()))
        answer = await connection.ask(wire.authenticate(found, scram.second(challenge.value)))
        scram.check(answer.value)
    except ServerError as error:
        raise LoginFailed(str(error)) from error
    except NotWhoTheySay as error:
        raise LoginFailed("the server does not know the password itself") from error
