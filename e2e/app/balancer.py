"""A plain round-robin balancer: no affinity, no health checks, no memory of anybody."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

HOST: Final = "127.0.0.1"
TIMEOUT: Final = aiohttp.ClientTimeout(total=15, sock_connect=2)

_HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Fields about one connection (RFC 9110 7.6.1), and the lengths, which are written anew."""


class Balancer:
    """Passes each request to the next of `backends` (URLs), in turn.

    A backend that refuses the connection never saw the request, so that the next one is tried,
    whatever the method. After that, a failure is 502: nobody knows what was done.
    """

    def __init__(self, http: aiohttp.ClientSession, backends: Sequence[str]) -> None:
        self._http = http
        self._turns = itertools.cycle(backends)
        self._count = len(backends)

    async def forward(self, request: web.BaseRequest) -> web.Response:
        """The answer of the first backend that takes the connection."""
        body = await request.read()
        for _ in range(self._count):
            backend = next(self._turns)
            try:
                return await self._passed_on(backend, request, body)
            except aiohttp.ClientConnectorError:
                continue
            except (aiohttp.ClientError, TimeoutError):
                break
        return web.Response(status=HTTPStatus.BAD_GATEWAY, text="no backend has answered\n")

    async def _passed_on(self, backend: str, request: web.BaseRequest, body: bytes) -> web.Response:
        async with self._http.request(
            request.method,
            backend + request.raw_path,
            headers=_end_to_end(request.headers),
            data=body or None,
            allow_redirects=False,
        ) as answer:
            return web.Response(
                status=answer.status,
                headers=_end_to_end(answer.headers),
                body=await answer.read(),
            )


@asynccontextmanager
async def running_balancer(backends: Sequence[str]) -> AsyncIterator[str]:
    """The URL of a balancer that runs in this process."""
    # One connection a request: a kept one that breaks leaves open whether the request was seen.
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=TIMEOUT,
        auto_decompress=False,
    ) as http:
        runner = web.ServerRunner(web.Server(Balancer(http, backends).forward))
        await runner.setup()
        try:
            await web.TCPSite(runner, HOST, 0).start()
            yield "http://{}:{}".format(*runner.addresses[0][:2])
        finally:
            await runner.cleanup()


def _end_to_end(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    return CIMultiDict(
        (name, value) for name, value in headers.items() if name.lower() not in _HOP_BY_HOP
    )
