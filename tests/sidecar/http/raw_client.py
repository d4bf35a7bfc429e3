"""A client that sends any bytes at all and reads answers strictly: what is framed wrong fails."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, NoReturn

import msgspec
from msgspec import Struct

DEADLINE_S: Final = 10
"""Nothing here takes long: whoever waits for it this long waits for ever."""


class Answer(Struct):
    """An answer as it was received; names in `headers` are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> str:
        """The name of the problem, with its members checked."""
        assert self.headers["content-type"] == "application/problem+json"
        members = self.members
        assert members["status"] == self.status
        assert members["detail"].endswith(".")
        return str(members["type"]).removeprefix("urn:moorline:problem:")

    @property
    def members(self) -> dict[str, Any]:
        decoded: dict[str, Any] = msgspec.json.decode(self.body)
        return decoded

    @property
    def closes(self) -> bool:
        return self.headers.get("connection") == "close"


class RawClient:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        async with asyncio.timeout(DEADLINE_S):
            await self._writer.drain()

    async def send_for_ever(self, data: bytes) -> NoReturn:
        """Send it again and again, until the other side ends it with a `ConnectionError`."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                await self.send(data)
                await asyncio.sleep(0)

    async def ask(self, data: bytes) -> Answer:
        await self.send(data)
        return await self.answer(to_head=data.startswith(b"HEAD "))

    async def answer(self, *, to_head: bool = False) -> Answer:
        """The next answer, interim ones included.

        Raises:
            asyncio.IncompleteReadError: The connection was closed before its end.
        """
        async with asyncio.timeout(DEADLINE_S):
            head = await self._reader.readuntil(b"\r\n\r\n")
            line, *fields = head.decode("ascii")[:-4].split("\r\n")
            version, status, _ = line.split(" ", 2)
            assert version == "HTTP/1.1"
            headers = dict(field.lower().split(": ", 1) for field in fields)
            assert len(headers) == len(fields), "a field of the answer is repeated"
            if status in {"100", "204", "304"}:
                assert "content-length" not in headers
                return Answer(int(status), headers, b"")
            length = 0 if to_head else int(headers["content-length"])
            return Answer(int(status), headers, await self._reader.readexactly(length))

    async def exactly(self, size: int) -> bytes:
        """So many bytes."""
        async with asyncio.timeout(DEADLINE_S):
            return await self._reader.readexactly(size)

    async def rest(self) -> bytes:
        """What comes until the other side closes; a reset is an end, too."""
        async with asyncio.timeout(DEADLINE_S):
            try:
                return await self._reader.read()
            except ConnectionError:
                return b""

    async def is_closed(self) -> bool:
        """Whether the other side has closed, and sent nothing more before."""
        return await self.rest() == b""

    def finish(self) -> None:
        """Close the sending side; answers can still be read."""
        self._writer.write_eof()

    def abort(self) -> None:
        """Be gone with a reset, so that nothing can be sent to it any more."""
        connection = self._writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def close(self) -> None:
        self._writer.close()
        async with asyncio.timeout(DEADLINE_S):
            try:
                await self._writer.wait_closed()
            except ConnectionError:
                return


@asynccontextmanager
async def connected(
    address: int | str, *, limit: int = 2**20, kernel_limit: int | None = None
) -> AsyncIterator[RawClient]:
    """A connection to a port of this machine or to the unix socket at a path.

    It reads no more than about `limit` bytes ahead. What the kernel takes beyond that grows as it
    sees fit, to tens of MiB, unless a port is connected to with a `kernel_limit`.
    """
    if isinstance(address, str):
        streams = await asyncio.open_unix_connection(address, limit=limit)
    elif kernel_limit is None:
        streams = await asyncio.open_connection("127.0.0.1", address, limit=limit)
    else:
        connection = socket.socket()
        # Before it is connected: it is then that a window is agreed upon.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, kernel_limit)
        connection.connect(("127.0.0.1", address))
        streams = await asyncio.open_connection(sock=connection, limit=limit)
    client = RawClient(*streams)
    try:
        yield client
    finally:
        await client.close()
