"""A small application on an address, bounded so that nobody can drown the process through it."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from typing import Final, Self

from moorline_sidecar.config import Address
from moorline_sidecar.http.limits import KIB, Limits
from moorline_sidecar.http.messages import Application
from moorline_sidecar.http.protocol import DataPlane
from moorline_sidecar.http.roster import Guest, Roster

CONNECTIONS_MAX: Final = 128
"""Of one listener. Probes, a scraper and a few people need a handful."""

BACKLOG: Final = 128
LIMITS: Final = Limits(
    head_bytes=16 * KIB,
    # No route takes a body.
    body_bytes=16 * KIB,
    # Longer than a scraper waits between two scrapes.
    idle_s=75.0,
    # Of those that come at once the oldest are still about to go.
    connections=2 * CONNECTIONS_MAX,
)
CLOSE_SECONDS: Final = 1.0

_ALL_ADDRESSES: Final = ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::"))  # noqa: S104
_NO_IPV6: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})


class Site:
    """Serves `application` on `address` while the context is entered."""

    def __init__(self, application: Application, address: Address) -> None:
        self._plane = DataPlane(application, LIMITS, roster=_Door())
        self._wanted = address
        self._listeners: list[socket.socket] = []

    @property
    def address(self) -> Address:
        """Where it listens; the port is known once the context is entered."""
        return Address(self._wanted.host, self._listeners[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        """Raises OSError if the address cannot be had."""
        self._listeners = listeners(self._wanted)
        await self._plane.start(bound=self._listeners)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._plane.close(CLOSE_SECONDS)


class _Door(Roster):
    """The oldest go: whoever holds many idle connections cannot keep a probe out."""

    def enter(self, guest: Guest) -> None:
        super().enter(guest)
        for oldest in list(self.serving)[: len(self.serving) - CONNECTIONS_MAX]:
            oldest.abort()


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
