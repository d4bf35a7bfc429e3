"""What aiohttp costs by itself: constant bytes from a bare handler, on uvloop.

`aiohttp_handler.py PORT FILE`: every `GET` of `/v1/sessions/{id}` is answered with the file.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvloop
from aiohttp import web


def application(body: bytes) -> web.Application:
    async def session(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    routed = web.Application()
    routed.router.add_get("/v1/sessions/{id}", session)
    return routed


async def serve(port: int, body: bytes) -> None:
    runner = web.AppRunner(application(body), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), Path(sys.argv[2]).read_bytes()))
