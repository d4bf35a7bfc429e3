"""An application that tells what it was asked, at once or later, and a data plane around it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from moorline_sidecar.http.limits import Limits
from moorline_sidecar.http.messages import Application, Quick, Request, Response, never
from moorline_sidecar.http.problems import problem
from moorline_sidecar.http.protocol import DataPlane

from tests.sidecar.http.raw_client import DEADLINE_S

BIG: Final = 2**20
"""Bytes of the answer to `/big`: more than the sockets of both sides hold."""

READY: Final = {
    b"/big": Response(200, body=bytes(BIG)),
    b"/empty": Response(204, b"ETag: x\r\n"),
    b"/same": Response(304, b"ETag: x\r\n", b"must not be sent"),
}

NEVER_S: Final = 3600.0
"""An interval for sweeps that shall happen only when the test says so."""


class Clock:
    """Seconds, as they pass in a test."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Echo:
    """Path by path: see `handle`."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.screened: list[Request] = []
        self.finished: list[bytes] = []
        self.gate = asyncio.Event()

    def screen(self, head: Request) -> Response | None:
        self.screened.append(head)
        if head.path == b"/broken-screen":
            raise RuntimeError
        if head.path == b"/unwanted":
            return problem("session-unknown", "Not wanted.")
        return None

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        self.requests.append(request)
        later = {
            b"/later": self._later,
            b"/gated": self._gated,
            b"/broken-later": self._broken,
            b"/cancelled": self._cancelled,
            b"/stubborn": self._stubborn,
        }.get(request.path)
        if later is not None:
            return later(request)
        if request.path == b"/broken":
            raise RuntimeError("a session id")
        return READY.get(request.path) or told(request)

    async def _later(self, request: Request) -> Response:
        await asyncio.sleep(0)
        return told(request)

    async def _gated(self, request: Request) -> Response:
        await self.gate.wait()
        self.finished.append(request.query)
        return told(request)

    async def _broken(self, _: Request) -> Response:
        await asyncio.sleep(0)
        raise RuntimeError("a session id")

    async def _cancelled(self, _: Request) -> Response:
        raise asyncio.CancelledError

    async def _stubborn(self, _: Request) -> Response:
        while not self.gate.is_set():
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                continue
        return Response(204)


def told(request: Request) -> Response:
    """What the application got, as JSON; header values as latin-1."""
    members = {
        "method": request.method.decode(),
        "path": request.path.decode(),
        "query": request.query.decode(),
        "headers": {
            name.decode(): value.decode("latin-1") for name, value in request.headers.items()
        },
        "body": request.body.decode("latin-1"),
    }
    return Response(200, b"Content-Type: application/json\r\n", msgspec.json.encode(members))


@asynccontextmanager
async def serving(
    application: Application | None = None,
    *,
    clock: Clock | None = None,
    quick: Quick = never,
    **limits: float,
) -> AsyncIterator[DataPlane]:
    """A data plane on a free port; with a `clock`, time passes by `plane.sweep()` alone."""
    if clock is not None:
        limits["sweep_s"] = NEVER_S
    plane = DataPlane(
        application or Echo(),
        msgspec.convert(limits, Limits),
        clock=clock or time.monotonic,
        quick=quick,
    )
    async with plane:
        await plane.start(tcp=[("127.0.0.1", 0)])
        yield plane


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait until `holds()`, at most `DEADLINE_S`."""
    async with asyncio.timeout(DEADLINE_S):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.001)


async def received(plane: DataPlane, size: int) -> None:
    """Wait until so many bytes have come."""
    await eventually(lambda: plane.traffic.flow.received == size)


def request(target: str = "/", *fields: str, method: str = "GET", body: bytes = b"") -> bytes:
    """A request of HTTP/1.1 with `Host`, and with `Content-Length` where there is a body."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def chunked(target: str, *chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    """A POST whose body comes in these chunks."""
    head = request(target, "Transfer-Encoding: chunked", method="POST")
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + end
