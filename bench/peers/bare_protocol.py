"""The limit for Python: httptools parses on uvloop, and constant bytes are the answer.

`bare_protocol.py PORT FILE`: every request is answered with the file.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import cast

import httptools
import uvloop


class Constant(asyncio.Protocol):
    """One connection: a parser, and the same answer to every message."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        if self._transport is not None:
            self._transport.write(self._answer)


async def serve(port: int, body: bytes) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    answer = head.encode() + b"\r\n" + body
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Constant(answer), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), Path(sys.argv[2]).read_bytes()))
