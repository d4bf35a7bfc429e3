"""Connections of the driver's pool that are kept between commands: lines.

For each command the driver selects a server, takes a connection out of its pool and puts it back,
with a session, locks, and listeners that are told: most of what a small command costs, and for most
requests there is nothing to be decided. A line is one checkout of the driver's that lasts. What
goes wrong on it is told to the driver as by its own commands, and ends the line. Whatever is not
the usual case is left to the driver: the first command, the choice of a server, repeating, all that
is large.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pymongo.errors import NotPrimaryError, OperationFailure, PyMongoError
from pymongo.helpers_shared import _check_command_response
from pymongo.message import _op_msg
from pymongo.server_selectors import writable_server_selector

from moorline_sidecar.stores.base import CALL_SECONDS
from moorline_sidecar.stores.mongodb_client import Client
from moorline_sidecar.stores.mongodb_waiting import receive_by

if TYPE_CHECKING:
    from collections.abc import Callable

    from bson.codec_options import CodecOptions
    from pymongo.asynchronous.mongo_client import _ClientCheckout
    from pymongo.asynchronous.pool import AsyncConnection
    from pymongo.asynchronous.server import Server
    from pymongo.message import _OpMsg

# What the driver's own commands do on a connection is not public in parts.
# ruff: noqa: SLF001

LINES_MAX: Final = 12
"""As many calls as the sessions layer makes at once; the pool has connections beside them."""

FRESH_SECONDS: Final = 1.0
"""What was used within is not looked at again, as the driver does not."""

MESSAGE_BYTES_MAX: Final = 4 << 20
"""Below the limits of every server, which the driver knows."""

Unpack: TypeAlias = "Callable[[_OpMsg, CodecOptions[dict[str, Any]]], dict[str, Any]]"
"""What makes a reply of bytes; what it raises ends the line."""

BULK_WRITE_WIRE_VERSION: Final = 25
"""MongoDB 8.0's, which has the command `bulkWrite`."""


class TooLong(Exception):
    """A message that is left to the driver; nothing was sent."""


def unpacked(reply: _OpMsg, codec: CodecOptions[dict[str, Any]]) -> dict[str, Any]:
    """A reply as the driver's commands tell it."""
    told: dict[str, Any] = reply.unpack_response(codec_options=codec)[0]
    return told


class Line:
    """One connection, for one command at a time."""

    def __init__(
        self, client: Client, server: Server, checkout: _ClientCheckout, connection: AsyncConnection
    ) -> None:
        self.client = client
        self._server = server
        self._checkout = checkout
        self._connection = connection
        self._used_at = time.monotonic()
        self.is_open = True
        """Until something goes wrong, or it is given up."""
        self.has_sent = False
        """Whether the newest command has gone out."""

    @property
    def has_bulk_write(self) -> bool:
        return self._connection.max_wire_version >= BULK_WRITE_WIRE_VERSION

    def is_fit(self, client: Client) -> bool:
        """Whether a command may be sent: what the driver asks of a connection of its pool."""
        connection, pool = self._connection, self._server.pool
        if client is not self.client or not self._server.description.is_writable:
            return False
        if connection.closed or pool.stale_generation(connection.generation, connection.service_id):
            return False
        idle = time.monotonic() - self._used_at
        if idle <= FRESH_SECONDS:
            return True
        longest = pool.opts.max_idle_time_seconds
        return not connection.conn_closed() and (longest is None or idle <= longest)

    async def ask(
        self,
        database: str,
        command: dict[str, Any],
        codec: CodecOptions[dict[str, Any]],
        unpack: Unpack = unpacked,
    ) -> dict[str, Any]:
        """The reply to a command that the server has taken, within `CALL_SECONDS`.

        Raises:
            PyMongoError: what the driver's command would; the line has ended.
            TooLong: it is for the driver.
        """
        try:
            return await self._ask(database, command, codec, unpack)
        except TooLong:
            raise
        except BaseException as error:  # noqa: BLE001 the driver sorts them out
            raise await self._failed(error)  # noqa: B904 it is that error, or made from it

    async def end(self) -> None:
        """Give the connection back to the pool."""
        self.is_open = False
        await self._checkout.__aexit__(None, None, None)

    async def _ask(
        self,
        database: str,
        command: dict[str, Any],
        codec: CodecOptions[dict[str, Any]],
        unpack: Unpack,
    ) -> dict[str, Any]:
        self.has_sent = False
        connection, topology = self._connection, self.client._topology
        command["maxTimeMS"] = int((CALL_SECONDS - (connection.connect_rtt or 0.0)) * 1000)
        if topology._max_cluster_time is not None:
            command["$clusterTime"] = topology._max_cluster_time
        request, message, size, _ = _op_msg(
            0, command, database, None, codec, connection.compression_context
        )
        if size > MESSAGE_BYTES_MAX:
            raise TooLong
        protocol = connection.conn.get_conn
        if protocol.transport.is_closing():
            raise OSError("the connection is closed")
        self._used_at = time.monotonic()
        self.has_sent = True
        protocol.transport.write(message)
        reply = await receive_by(connection, request, self._used_at + CALL_SECONDS)
        told = unpack(reply, codec)
        # Its lock is for who awaits something in between.
        topology._receive_cluster_time_no_lock(told.get("$clusterTime"))
        if told.get("ok") != 1:
            _check_command_response(told, connection.max_wire_version)
        return told

    async def _failed(self, error: BaseException) -> BaseException:
        """Tell the driver, and end; the error as it names it."""
        self.is_open = False
        if not isinstance(error, OperationFailure | NotPrimaryError):
            try:
                await self._connection._raise_connection_failure(error)
            except BaseException as named:  # noqa: BLE001 it always raises
                error = named
        await self._checkout.__aexit__(type(error), error, error.__traceback__)
        return error


class Lines:
    """The lines to the server that takes writes."""

    def __init__(self) -> None:
        self._free: list[Line] = []
        self._count = 0
        self._client: Client | None = None
        """That of the newest line; those of others end."""

    async def take(self, client: Client | None) -> Line | None:
        """A line that is free, if there is one; the caller gives it back."""
        if client is not None:
            self._client = client
            while self._free:
                line = self._free.pop()
                if line.is_fit(client):
                    return line
                await self._end(line)
        return None

    async def give(self, line: Line) -> None:
        """Take a line back, whatever has become of it."""
        if not line.is_open:
            self._count -= 1
        elif line.client is self._client:
            self._free.append(line)
        else:
            await self._end(line)

    async def add(self, client: Client) -> None:
        """Open another one, unless there are many; that a server is in reach is known.

        Raises:
            PyMongoError: it is not any more.
        """
        if self._count >= LINES_MAX or client is not self._client:
            return
        self._count += 1
        try:
            server = await client._select_server(writable_server_selector, None, "update")
            checkout = client._checkout(server, None)
            connection = await checkout.__aenter__()
        except BaseException:
            self._count -= 1
            raise
        await self.give(Line(client, server, checkout, connection))

    async def close(self) -> None:
        """End all; those in use end when they are given back."""
        self._client = None
        while self._free:
            await self._end(self._free.pop())

    async def _end(self, line: Line) -> None:
        self._count -= 1
        try:
            await line.end()
        except PyMongoError:
            # The connection is gone, which was to be.
            return
