"""A TCP link to a server, with the weather that a test makes.

What the other links of the tests lose for one test, this one does to all its connections, for as
long as it is told to.
"""

from __future__ import annotations

import asyncio
import enum
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from msgspec import Struct

from tests.lossy_link import stop_listening

CHUNK_BYTES: Final = 1 << 16
DRIP_BYTES: Final = 48
DRIP_SECONDS: Final = 0.01
CONNECT_SECONDS: Final = 5.0


class Weather(Struct):
    """What happens to every connection; the default is nothing."""

    delay_seconds: float = 0
    jitter_seconds: float = 0
    is_dripping: bool = False
    is_dropping: bool = False
    is_holding: bool = False
    loses_answers: bool = False
    duplicates: bool = False

    @property
    def breaks_streams(self) -> bool:
        """Whether connections that have met it have holes in them."""
        return self.is_dropping or self.loses_answers


class Point(enum.Enum):
    """When a trap springs."""

    BEFORE_WRITE = enum.auto()
    """A write is on its way; it does not arrive."""
    AFTER_WRITE = enum.auto()
    """A write was answered; the answer does not arrive."""


class Link:
    """Listens on a port of its own, and forwards to the server's.

    `writes` is what the requests have in them that a trap waits for.
    """

    def __init__(self, port: int, seed: int, writes: tuple[bytes, ...]) -> None:
        self._server_port = port
        self._writes = writes
        self._chance = random.Random(seed)
        self._connections: set[_Connection] = set()
        self._listener: asyncio.Server | None = None
        self._changed = asyncio.Event()
        self.weather = Weather()
        self._fronts: list[Weather] = []
        self._trap: tuple[Point, Callable[[], None]] | None = None
        self.sprung = 0

    @property
    def port(self) -> int:
        assert self._listener is not None
        port: int = self._listener.sockets[0].getsockname()[1]
        return port

    def begin(self, weather: Weather) -> None:
        """Let this happen too, from now on."""
        self._fronts.append(weather)
        self._change()

    def end(self, weather: Weather) -> None:
        """Let this happen no more; connections with holes in them are cut."""
        self._fronts.remove(weather)
        self._change()
        if weather.breaks_streams:
            self.cut()

    def clear(self) -> None:
        """Let everything through again."""
        self._fronts.clear()
        self._change()
        self.cut()

    def _change(self) -> None:
        fronts = self._fronts
        self.weather = Weather(
            delay_seconds=max((front.delay_seconds for front in fronts), default=0),
            jitter_seconds=max((front.jitter_seconds for front in fronts), default=0),
            is_dripping=any(front.is_dripping for front in fronts),
            is_dropping=any(front.is_dropping for front in fronts),
            is_holding=any(front.is_holding for front in fronts),
            loses_answers=any(front.loses_answers for front in fronts),
            duplicates=any(front.duplicates for front in fronts),
        )
        self._changed.set()
        self._changed = asyncio.Event()

    def cut(self) -> None:
        """Reset all connections."""
        for connection in list(self._connections):
            connection.reset()

    def trap(self, point: Point, spring: Callable[[], None]) -> None:
        """Call `spring` at the next write, and cut its connection; the last trap set counts."""
        self._trap = point, spring

    def disarm(self) -> None:
        self._trap = None

    # What connections ask

    async def pass_on(self, chunk: bytes, writer: asyncio.StreamWriter, *, is_answer: bool) -> None:
        """Forward a chunk as the weather lets it."""
        weather = self.weather
        while weather.is_holding:
            await self._changed.wait()
            weather = self.weather
        if weather.is_dropping or (weather.loses_answers and is_answer):
            return
        delay = weather.delay_seconds + self._chance.uniform(0, weather.jitter_seconds)
        if delay:
            await asyncio.sleep(delay)
        size = DRIP_BYTES if weather.is_dripping else len(chunk)
        for first in range(0, len(chunk), size):
            writer.write(chunk[first : first + size])
            await writer.drain()
            if weather.is_dripping and self.weather.is_dripping:
                await asyncio.sleep(DRIP_SECONDS)

    def springs(self, point: Point) -> bool:
        """Whether there is a trap at this point; it springs."""
        if self._trap is None or self._trap[0] is not point:
            return False
        spring, self._trap = self._trap[1], None
        self.sprung += 1
        spring()
        return True

    def is_write(self, chunk: bytes) -> bool:
        return any(mark in chunk for mark in self._writes)

    def is_trapped(self, point: Point) -> bool:
        return self._trap is not None and self._trap[0] is point

    # Connections

    async def _open(self) -> None:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def _close(self) -> None:
        assert self._listener is not None
        await stop_listening(self._listener)
        for connection in list(self._connections):
            connection.reset()
        await asyncio.gather(*(it.is_over.wait() for it in list(self._connections)))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self, reader, writer)
        self._connections.add(connection)
        try:
            await connection.run(self._server_port)
        finally:
            self._connections.discard(connection)
            connection.is_over.set()


class _Connection:
    """A client's connection, and the one to the server that belongs to it."""

    def __init__(
        self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._link = link
        self._reader = reader
        self._writer = writer
        self._writers = [writer]
        self._is_write_out = False
        self._task: asyncio.Task[None] | None = None
        self.is_over = asyncio.Event()

    async def run(self, port: int) -> None:
        self._task = asyncio.current_task()
        try:
            with suppress(OSError, TimeoutError, asyncio.CancelledError):
                async with asyncio.timeout(CONNECT_SECONDS):
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                self._writers.append(writer)
                await self._double(port)
                await self._forward_both(reader, writer)
        finally:
            for each in self._writers:
                each.close()

    def reset(self) -> None:
        """End it at once, and tell both sides by a reset."""
        for writer in self._writers:
            peer = writer.get_extra_info("socket")
            if peer is not None:
                with suppress(OSError):
                    linger = struct.pack("ii", 1, 0)
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
        if self._task is not None:
            self._task.cancel()

    async def _double(self, port: int) -> None:
        """Open a second connection that says nothing, as a client does that lost patience."""
        if self._link.weather.duplicates:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            self._writers.append(writer)

    async def _forward_both(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        # What the client has sent arrives, even if it has given up meanwhile.
        asked = asyncio.ensure_future(self._forward(self._reader, writer, is_answer=False))
        answered = asyncio.ensure_future(self._forward(reader, self._writer, is_answer=True))
        try:
            await asyncio.wait([asked, answered], return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
            answered.cancel()
            await asyncio.gather(asked, answered, return_exceptions=True)

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool
    ) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            if self._meets_trap(chunk, is_answer=is_answer):
                self.reset()
                return
            await self._link.pass_on(chunk, writer, is_answer=is_answer)

    def _meets_trap(self, chunk: bytes, *, is_answer: bool) -> bool:
        link = self._link
        if is_answer:
            return self._is_write_out and link.springs(Point.AFTER_WRITE)
        is_write = link.is_write(chunk)
        self._is_write_out = is_write and link.is_trapped(Point.AFTER_WRITE)
        return is_write and link.springs(Point.BEFORE_WRITE)


@asynccontextmanager
async def open_link(
    port: int, seed: int = 0, writes: tuple[bytes, ...] = ()
) -> AsyncIterator[Link]:
    link = Link(port, seed, writes)
    await link._open()  # noqa: SLF001 - its own opener
    try:
        yield link
    finally:
        link.clear()
        await link._close()  # noqa: SLF001
