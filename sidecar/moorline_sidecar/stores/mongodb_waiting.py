"""How the driver waits: mended where it would not outlive an outage, and where waiting costs most.

`asyncio.wait_for` of Python 3.11 that is cancelled twice returns before what it waits for has
ended. Where that is the driver's condition, which takes its lock again first, a lock is released
that is not held, and then held for ever: no server is ever selected again, and no request can be
cancelled.

For each command the driver starts three tasks: one that writes, which never waits, one that reads,
and one that looks twice a second whether the connection was given up meanwhile. They are a third of
what a small command costs in all; a timer does the same.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final, TypeVar

import pymongo.lock
from pymongo import _csot
from pymongo.asynchronous import pool
from pymongo.common import MAX_MESSAGE_SIZE
from pymongo.errors import ProtocolError, _OperationCancelled
from pymongo.message import _UNPACK_REPLY, _OpMsg
from pymongo.network_layer import PyMongoProtocol

if TYPE_CHECKING:
    from pymongo.asynchronous.pool import AsyncConnection

LOOK_SECONDS: Final = 0.5
"""Between two looks at a connection that waits, as the driver does it."""

T = TypeVar("T")


def mend_waiting() -> None:
    """Have the driver wait as this module does."""
    if sys.version_info < (3, 12):
        pymongo.lock.wait_for = _wait_for  # type: ignore[assignment, attr-defined]
    pool.async_sendall = send  # type: ignore[attr-defined]
    pool.async_receive_message = receive  # type: ignore[attr-defined]


async def _wait_for(awaited: Awaitable[T], timeout: float | None) -> T:  # noqa: ASYNC109 as the one it stands for
    async with asyncio.timeout(timeout):
        return await awaited


async def send(conn: PyMongoProtocol, buf: bytes) -> None:
    """Write a message, or have it written when there is room."""
    await conn.write(buf)


async def receive(
    conn: AsyncConnection, request_id: int | None, max_message_size: int = MAX_MESSAGE_SIZE
) -> _OpMsg:
    """The reply to a request; the next one where that is None.

    Raises:
        TimeoutError, OSError, _OperationCancelled: there is none, and the connection is closed.
        ProtocolError: it is no such reply.
    """
    return await receive_by(conn, request_id, _deadline(conn.conn.get_conn), max_message_size)


async def receive_by(
    conn: AsyncConnection,
    request_id: int | None,
    deadline: float | None,
    max_message_size: int = MAX_MESSAGE_SIZE,
) -> _OpMsg:
    """As `receive`, until `deadline` by the monotonic clock."""
    protocol = conn.conn.get_conn
    watch = _Watch(conn, protocol, deadline)
    try:
        data, kind = await protocol.read(request_id, max_message_size)
    finally:
        watch.end()
    try:
        unpack = _UNPACK_REPLY[kind]
    except KeyError:
        raise ProtocolError(f"a reply of the unknown kind {kind}") from None
    return unpack(data)


def _deadline(protocol: PyMongoProtocol) -> float | None:
    """By the monotonic clock; None: there is none."""
    if _csot.get_timeout():
        return _csot.get_deadline()
    seconds = protocol.gettimeout
    return time.monotonic() + seconds if seconds else None


class _Watch:
    """Closes a connection whose reply does not come in time, or is not waited for any more."""

    def __init__(
        self, connection: AsyncConnection, protocol: PyMongoProtocol, deadline: float | None
    ) -> None:
        self._connection = connection
        self._protocol = protocol
        self._deadline = deadline
        self._loop = asyncio.get_running_loop()
        self._timer = self._armed()

    def end(self) -> None:
        self._timer.cancel()

    def _armed(self) -> asyncio.TimerHandle:
        left = LOOK_SECONDS
        if self._deadline is not None:
            left = min(left, max(0.0, self._deadline - time.monotonic()))
        return self._loop.call_later(left, self._look)

    def _look(self) -> None:
        if self._connection.cancel_context.cancelled:
            self._protocol.close(_OperationCancelled("operation cancelled"))
        elif self._deadline is not None and time.monotonic() >= self._deadline:
            self._protocol.close(TimeoutError("timed out"))
        else:
            self._timer = self._armed()
