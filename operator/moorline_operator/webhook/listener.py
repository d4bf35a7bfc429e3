"""The TLS listener of the webhook, and how it ends without failing a request."""

import asyncio
import ssl
from types import TracebackType
from typing import Final, Self

from aiohttp import web
from aiohttp.typedefs import Handler

KEEP_ALIVE_SECONDS: Final = 120.0
"""Longer than the API server's 90 s: who closes an idle connection must be who uses it."""

UNDER_WAY_SECONDS: Final = 5.0
"""How long requests that are under way at the end may take: the API server waits no longer."""


class Listener:
    """Listens while it is open. `host` "" is every address, `port` 0 a free one."""

    def __init__(
        self, application: web.Application, context: ssl.SSLContext, host: str, port: int
    ) -> None:
        self.is_draining = False
        application.middlewares.append(self._closing)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            shutdown_timeout=UNDER_WAY_SECONDS,
        )
        self._context = context
        self._where = host or None, port

    @property
    def port(self) -> int:
        """The port it listens on, while it is open."""
        port: int = self._runner.addresses[0][1]
        return port

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        host, port = self._where
        try:
            await web.TCPSite(
                self._runner, host, port, ssl_context=self._context, backlog=1024
            ).start()
        except OSError:
            await self._runner.cleanup()
            raise
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()

    async def drain(self, seconds: float) -> None:
        """Go on for so long, while the API server goes over to other replicas.

        New connections come until it has heard that this replica is not ready. Every answer
        closes its connection: one that is idle at the end was not used all the time, and what
        the API server wants to send on a connection that we close would be lost.
        """
        self.is_draining = True
        await asyncio.sleep(seconds)

    @web.middleware
    async def _closing(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        if self.is_draining:
            response.force_close()
        return response
