"""An aiohttp application on an address, bounded so that nobody can drown the process through it."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, Self

import structlog
from aiohttp import web

from moorline_sidecar.config import Address
from moorline_sidecar.errors import InvalidRequest, OutcomeUnknown, StoreUnavailable
from moorline_sidecar.http.messages import Response
from moorline_sidecar.http.problems import problem

CONNECTIONS_MAX: Final = 128
"""Of one listener. Probes, a scraper and a few people need a handful."""

BACKLOG: Final = 128
IDLE_SECONDS: Final = 75.0
"""Longer than a scraper waits between two scrapes."""

CLOSE_SECONDS: Final = 1.0

_ALL_ADDRESSES: Final = ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::"))  # noqa: S104
_NO_IPV6: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = structlog.get_logger(__name__)


class Site:
    """Serves `application` on `address` while the context is entered."""

    def __init__(self, application: web.Application, address: Address) -> None:
        application.middlewares.insert(0, _problems)
        application.on_response_prepare.append(_hide_versions)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            keepalive_timeout=IDLE_SECONDS,
            shutdown_timeout=CLOSE_SECONDS,
        )
        self._wanted = address
        self._listeners: list[socket.socket] = []
        self._servers: list[asyncio.Server] = []

    @property
    def address(self) -> Address:
        """Where it listens; the port is known once the context is entered."""
        return Address(self._wanted.host, self._listeners[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        """Raises OSError if the address cannot be had."""
        self._listeners = listeners(self._wanted)
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        self._servers = [
            await loop.create_server(self._connection, sock=listener, backlog=BACKLOG)
            for listener in self._listeners
        ]
        return self

    async def __aexit__(self, *_exc: object) -> None:
        for server in self._servers:
            server.close()
        await self._runner.cleanup()

    def _connection(self) -> asyncio.BaseProtocol:
        server = self._runner.server
        if server is None:
            raise RuntimeError("accepted a connection before the set-up or after the clean-up")
        open_now = [each for each in server.connections if each.transport is not None]
        # The oldest go: whoever holds many idle ones cannot keep a probe out.
        for oldest in open_now[: len(open_now) - CONNECTIONS_MAX + 1]:
            oldest.force_close()
        return server()


def listeners(address: Address) -> list[socket.socket]:
    """Bound sockets, all with the same port, for each address that the host stands for.

    Raises:
        OSError: none can be had, or one is taken.
    """
    found: list[socket.socket] = []
    port = address.port
    try:
        for family, host in _hosts(address):
            try:
                listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
            except OSError as error:
                if found and error.errno in _NO_IPV6:
                    continue
                raise
            found.append(listener)
            port = listener.getsockname()[1]
    except OSError:
        for listener in found:
            listener.close()
        raise
    return found


def _hosts(address: Address) -> Iterator[tuple[socket.AddressFamily, str]]:
    if not address.host:
        yield from _ALL_ADDRESSES
        return
    known = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    yield from dict.fromkeys((family, str(where[0])) for family, _, _, _, where in known)


async def _hide_versions(_request: web.Request, response: web.StreamResponse) -> None:
    """Whoever can reach the pod need not know what is installed in it."""
    response.headers.pop("Server", None)


@web.middleware
async def _problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every refusal and failure as a problem; what is unexpected is logged here, once."""
    try:
        return await handler(request)
    except Exception as error:
        refusal = _refusal_of(error)
        if refusal is not None:
            return framed(refusal)
        log.exception("a request failed", method=request.method)
        return web.Response(status=500)


def _refusal_of(error: Exception) -> Response | None:
    match error:
        case web.HTTPNotFound():
            return problem("route-unknown", "This listener does not serve that path.")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            fields = f"Allow: {allowed}\r\n".encode()
            return problem("method-not-allowed", f"This path takes {allowed}.", fields=fields)
        case InvalidRequest():
            return problem(error.problem, error.detail)
        case StoreUnavailable():
            return problem("store-unavailable", f"Repeat it later: {error}")
        case OutcomeUnknown():
            return problem("outcome-unknown", f"Perhaps it was done: {error}")
        case _:
            return None


def framed(response: Response) -> web.Response:
    """The same answer as aiohttp has it."""
    lines = response.fields.decode("latin-1").split("\r\n")
    fields = [line.split(": ", 1) for line in lines if line]
    return web.Response(
        status=response.status,
        body=response.body,
        headers=[(name, value) for name, value in fields],
    )
