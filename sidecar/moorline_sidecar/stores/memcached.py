"""A group of memcached servers, by emcache: a cache that is asked for briefly, or not at all.

Each name has one server, found by rendezvous hashing (Thaler and Ravishankar, 1998): without one of
n servers a n-th of the names are missed, and no other name moves. A server that fails, or is
late three times running, is left alone and tried again beside the traffic, after a pause that
doubles; until it answers, whatever is at it comes from the store at once. Its names are not given
to the others: they would be filled with what is wanted nowhere once it is back.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any, Final

import emcache
import structlog

from moorline_sidecar.stores.l2 import Cache, Item

GET_SECONDS: Final = 0.02
"""For what takes a fifth of a millisecond: beyond, the store would have answered."""

LATE_MAX: Final = 3
"""Answers that were late, one after the other: a single one may be this process's own fault."""

SET_SECONDS: Final = 0.5
"""For a batch of items, which nobody waits for."""

CONNECT_SECONDS: Final = 1.0
"""For a server to accept and to answer; nobody waits for that either, but for `prepare`."""

CLOSE_SECONDS: Final = 0.2

FIRST_PAUSE_SECONDS: Final = 1.0
PAUSE_MAX_SECONDS: Final = 30.0
"""Between two tries: one packet each, and a server that is back is soon of use."""

CONNECTIONS_MAX: Final = 4
"""To one server: as many batches as are under way at once."""

PENDING_BYTES_MAX: Final = 8 << 20
"""Of items that wait to be put; what comes beyond is not kept."""

ABSENT: Final = b"moorline"
"""A name that no item has: asking for it proves that a server answers."""

# A line for each connection and each try; here it is one for each server that is left alone.
logging.getLogger("emcache").setLevel(logging.CRITICAL)

log = structlog.get_logger(__name__)


def server_of(addresses: Iterable[str], name: bytes) -> str:
    """The address of the server that a name is at, in whatever order they are given."""

    def weight(address: str) -> bytes:
        return hashlib.blake2b(address.encode() + b"\0" + name, digest_size=8).digest()

    return max(addresses, key=weight)


class Memcached(Cache):
    """Servers as `host:port`; nothing is connected to before the first use.

    `patience` is how many seconds a read may take.
    """

    def __init__(self, servers: Sequence[str], *, patience: float = GET_SECONDS) -> None:
        self._servers = {address: _Server(address, patience) for address in servers}
        self._pending_bytes = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def errors(self) -> int:
        return sum(server.errors for server in self._servers.values())

    @property
    def is_usable(self) -> bool:
        # All are looked at, as that has those tried again whose pause is over.
        return max(server.is_ready() for server in self._servers.values())

    def reaches(self, name: bytes) -> bool:
        return self._server_of(name).is_ready()

    async def get(self, names: Sequence[bytes]) -> Mapping[bytes, bytes]:
        shares: dict[_Server, list[bytes]] = {}
        for name in names:
            shares.setdefault(self._server_of(name), []).append(name)
        asked = [server.get(share) for server, share in shares.items()]
        found: dict[bytes, bytes] = {}
        for each in await asyncio.gather(*asked):
            found.update(each)
        return found

    def put(self, items: Mapping[bytes, Item]) -> None:
        size = sum(len(item.value) for item in items.values())
        if self._pending_bytes + size > PENDING_BYTES_MAX:
            return
        self._pending_bytes += size
        self._spawn(self._put(items, size))

    async def prepare(self) -> None:
        await asyncio.gather(*(server.connect() for server in self._servers.values()))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(server.close() for server in self._servers.values()))

    async def drain(self) -> None:
        """Wait until what was put is there, or given up."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _put(self, items: Mapping[bytes, Item], size: int) -> None:
        try:
            shares: dict[_Server, dict[bytes, Item]] = {}
            for name, item in items.items():
                shares.setdefault(self._server_of(name), {})[name] = item
            await asyncio.gather(*(server.put(share) for server, share in shares.items()))
        finally:
            self._pending_bytes -= size

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _server_of(self, name: bytes) -> _Server:
        return self._servers[server_of(self._servers, name)]


class _Server:
    """One server: connected and believed in, or left alone until its pause is over."""

    def __init__(self, address: str, patience: float) -> None:
        host, _, port = address.rpartition(":")
        self._address = emcache.MemcachedHostAddress(host.strip("[]"), int(port))
        self._named = address
        self._patience = patience
        self._client: emcache.Client | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._pause = FIRST_PAUSE_SECONDS
        self._try_at = 0.0
        self._late = 0
        self._is_closed = False
        self._is_said = False
        self.errors = 0

    def is_ready(self) -> bool:
        """Whether it may be asked; if not, it is tried again beside, if its pause is over."""
        if self._client is not None:
            return True
        if (
            self._connecting is None
            and not self._is_closed
            and asyncio.get_running_loop().time() >= self._try_at
        ):
            self._connecting = asyncio.create_task(self._connect())
        return False

    async def get(self, names: Sequence[bytes]) -> Mapping[bytes, bytes]:
        client = self._client
        if client is None:
            return {}
        try:
            async with asyncio.timeout(self._patience):
                items = await client.get_many(names)
        except Exception as error:  # noqa: BLE001 whatever it is, the store has the answer
            self._failed(client, error)
            return {}
        self._late = 0
        return {name: items[name].value for name in names if name in items}

    async def put(self, items: Mapping[bytes, Item]) -> None:
        client = self._client
        if client is None:
            return
        try:
            async with asyncio.timeout(SET_SECONDS):
                for name, item in items.items():
                    await self._set(client, name, item)
        except Exception as error:  # noqa: BLE001 the same
            self._failed(client, error)

    async def connect(self) -> None:
        """Until it is known whether it can be used."""
        if not self.is_ready() and self._connecting is not None:
            await asyncio.wait([self._connecting])

    async def close(self) -> None:
        self._is_closed = True
        client, self._client = self._client, None
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        if client is not None:
            await _closed(client)
        if self._closing:
            await asyncio.wait(self._closing)

    async def _set(self, client: emcache.Client, name: bytes, item: Item) -> None:
        try:
            await client.set(name, item.value, exptime=item.ttl)
        except emcache.CommandError:
            # It answers, and has no room for this one.
            self.errors += 1

    async def _connect(self) -> None:
        client: emcache.Client | None = None
        try:
            client = await _client(self._address)
            async with asyncio.timeout(CONNECT_SECONDS):
                await client.get_many([ABSENT])
        except Exception as error:  # noqa: BLE001 it is tried again, whatever it is
            self._put_off(error)
        else:
            self._client, client = client, None
            self._pause = FIRST_PAUSE_SECONDS
            if self._is_said:
                self._is_said = False
                log.info("a server of the L2 answers again", server=self._named)
        finally:
            self._connecting = None
            if client is not None:
                await _closed(client)

    def _failed(self, client: emcache.Client, error: Exception) -> None:
        self.errors += 1
        if self._client is not client:
            return
        if isinstance(error, TimeoutError):
            # The driver has closed the connection on which a reply may still come.
            self._late += 1
            if self._late < LATE_MAX:
                return
        self._client = None
        self._late = 0
        closing = asyncio.create_task(_closed(client))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        self._put_off(error)

    def _put_off(self, error: Exception) -> None:
        pause = self._pause * random.uniform(0.5, 1.0)  # noqa: S311 jitter
        self._try_at = asyncio.get_running_loop().time() + pause
        self._pause = min(PAUSE_MAX_SECONDS, 2 * self._pause)
        if not self._is_said:
            self._is_said = True
            why = str(error) or type(error).__name__
            log.warning("a server of the L2 is left alone", server=self._named, why=why)


async def _client(address: emcache.MemcachedHostAddress) -> emcache.Client:
    options: dict[str, Any] = {
        "timeout": None,
        "connection_timeout": CONNECT_SECONDS,
        "max_connections": CONNECTIONS_MAX,
        # Its timer for that outlives the client.
        "purge_unused_connections_after": None,
    }
    return await emcache.create_client([address], **options)


async def _closed(client: emcache.Client) -> None:
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await client.close()
    except Exception as error:  # noqa: BLE001 it is of no use any more, one way or the other
        log.debug("a client of the L2 did not close", why=str(error) or type(error).__name__)
