"""A TCP link to a server that loses what a test tells it to lose."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final
from urllib.parse import urlsplit

from e2e.ports import free_port

CHUNK_BYTES: Final = 1 << 16

ROUNDS: Final = 10
"""Of the loop, which takes three from a connection that is taken to the task that serves it."""


class LossyLink:
    """Forwards everything, until it is told otherwise."""

    def __init__(self, uri: str) -> None:
        target = urlsplit(uri)
        assert target.hostname is not None
        assert target.port is not None
        self._target = (target.hostname, target.port)
        self._losing: bytes | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        # While it is closed, nobody else may get it.
        self._port = free_port()
        self._is_stalled = False
        self._is_swallowing = False

    @property
    def port(self) -> int:
        return self._port

    @property
    def uri(self) -> str:
        """Direct: else the driver would learn the server's own address, and go round the link."""
        return f"mongodb://127.0.0.1:{self._port}/?directConnection=true"

    def lose_answer_to(self, command: str) -> None:
        """Break the next connection that carries this command, once the server has answered it."""
        # A command's name is the first key of its BSON document.
        self.lose_answer_after(command.encode() + b"\0")

    def lose_answer_after(self, content: bytes) -> None:
        """The same for what holds these bytes."""
        self._losing = content

    def stall(self) -> None:
        """Keep everything to itself from now on, until it is closed."""
        self._is_stalled = True

    def swallow_answers(self) -> None:
        """Let requests through and nothing back, and tell nobody, until it is closed."""
        self._is_swallowing = True

    async def open(self) -> None:
        """Listen, on the same port as before."""
        self._is_stalled = self._is_swallowing = False
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)

    async def close(self) -> None:
        """Refuse connections, and break those that are there."""
        assert self._server is not None
        await stop_listening(self._server)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with suppress(OSError, asyncio.CancelledError):
            await self._connect(reader, writer)
        writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(*self._target)
        is_lost = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._forward(reader, server_writer, is_lost))
                group.create_task(self._return(server_reader, writer, is_lost))
        except* OSError:
            pass
        finally:
            server_writer.close()

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_lost: asyncio.Event
    ) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            if self._losing is not None and self._losing in chunk:
                self._losing = None
                is_lost.set()
            if self._is_stalled:
                await asyncio.Event().wait()
            writer.write(chunk)
            await writer.drain()
        raise ConnectionResetError

    async def _return(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_lost: asyncio.Event
    ) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            if is_lost.is_set():
                break
            if self._is_swallowing:
                continue
            writer.write(chunk)
            await writer.drain()
        raise ConnectionResetError


async def stop_listening(server: asyncio.Server) -> None:
    """Close it, with a task for every connection that it has taken."""
    loop = asyncio.get_running_loop()
    for listener in server.sockets:
        loop.remove_reader(listener.fileno())
    # One that was taken just now has none yet: it would outlive the server.
    for _ in range(ROUNDS):
        await asyncio.sleep(0)
    server.close()


@asynccontextmanager
async def lossy_link(uri: str) -> AsyncIterator[LossyLink]:
    link = LossyLink(uri)
    await link.open()
    try:
        yield link
    finally:
        await link.close()
