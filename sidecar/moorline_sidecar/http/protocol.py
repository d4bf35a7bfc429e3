"""The data plane: HTTP/1.1 on TCP and unix sockets, for whatever application it is given."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from msgspec import structs

from moorline_sidecar.http.connections import Connection
from moorline_sidecar.http.limits import Limits, Traffic
from moorline_sidecar.http.listening import BACKLOG, UnixSocket, allow_descriptors
from moorline_sidecar.http.messages import Application, Quick, never
from moorline_sidecar.http.roster import Roster


class DataPlane:
    """Serves `application` from `start` to `close`, which is also how `async with` ends.

    `clock` returns seconds that never go back. What `quick` answers `application` never sees.
    """

    def __init__(
        self,
        application: Application,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
        quick: Quick = never,
        roster: Roster | None = None,
    ) -> None:
        self.traffic = Traffic()
        self._application = application
        self._quick = quick
        self._limits = limits or Limits()
        self._clock = clock
        self._roster = roster or Roster()
        self._servers: list[asyncio.Server] = []
        self._unix_socket: UnixSocket | None = None
        self._next_sweep: asyncio.TimerHandle | None = None
        self._is_closing = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close(grace_s=0)

    async def start(
        self,
        tcp: Sequence[tuple[str, int]] = (),
        unix: Path | None = None,
        bound: Sequence[socket.socket] = (),
    ) -> None:
        """Listen on each host and port, and at `unix`, which every user of the machine may use.

        Sockets that are `bound` to an address are closed at the end.

        Raises:
            OSError: An address is taken, or cannot be had; nothing is left listening.
        """
        loop = asyncio.get_running_loop()
        allow_descriptors(self._limits.connections)
        try:
            for host, port in tcp:
                server = await loop.create_server(self._connection, host, port, backlog=BACKLOG)
                self._servers.append(server)
            for sock in bound:
                server = await loop.create_server(self._connection, sock=sock, backlog=BACKLOG)
                self._servers.append(server)
            if unix is not None:
                self._unix_socket = UnixSocket(unix)
                self._servers.append(
                    await loop.create_unix_server(
                        self._connection, sock=self._unix_socket.listener, backlog=BACKLOG
                    )
                )
        except BaseException:
            self._stop_listening()
            raise
        self._sweep_again()

    @property
    def port(self) -> int:
        """The port of the first TCP address, which is of use if 0 was asked for."""
        port: int = self._servers[0].sockets[0].getsockname()[1]
        return port

    @property
    def connections(self) -> int:
        """How many are open, those that are only waited for to close not counted."""
        return len(self._roster.serving)

    def allow_bodies(self, body_bytes: int, session_bytes: int) -> None:
        """Take bodies of so many bytes, on open connections too; never fewer than before.

        A request under way is thus never refused for what was allowed when it began.
        """
        body_bytes = max(self._limits.body_bytes, body_bytes)
        self._limits = structs.replace(
            self._limits, body_bytes=body_bytes, session_bytes=session_bytes
        )
        for guest in self._roster.everyone():
            guest.allow(self._limits)

    def sweep(self) -> None:
        """End what has taken too long; done by itself every `limits.sweep_s`."""
        now = self._clock()
        for guest in self._roster.everyone():
            guest.look(now)
            if self._is_closing:  # it may have been accepted while the listeners were closed
                guest.retire()

    async def close(self, grace_s: float) -> None:
        """Accept nothing more, finish what is in flight, and cut off what is left of it then."""
        self._is_closing = True
        self._stop_listening()
        for guest in self._roster.everyone():
            guest.retire()
        try:
            async with asyncio.timeout(grace_s):
                await self._roster.wait_until_empty()
        except TimeoutError:
            await self._roster.dismiss_all()
        finally:
            if self._next_sweep is not None:
                self._next_sweep.cancel()

    def _connection(self) -> Connection:
        return Connection(self._application, self._quick, self._limits, self.traffic, self._roster)

    def _sweep_again(self) -> None:
        loop = asyncio.get_running_loop()
        self._next_sweep = loop.call_later(self._limits.sweep_s, self._sweep_again)
        self.sweep()

    def _stop_listening(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()
        if self._unix_socket is not None:
            self._unix_socket.remove()
