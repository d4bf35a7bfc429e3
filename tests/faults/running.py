"""Running the stores of a cluster under fire: killed, frozen and started again on their data."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    suppress,
)
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from moorline_sidecar.config.secrets import SecretText
from moorline_sidecar.errors import ConfigurationError
from moorline_sidecar.stores.embedded import EmbeddedServer
from moorline_sidecar.stores.mongodb import MongoStore
from moorline_sidecar.stores.mongodb_client import Connection
from moorline_sidecar.stores.uri_source import UriSource
from msgspec import Struct, structs

from e2e.app.databases import HOST, Database, running
from e2e.app.hazelcast import running_members
from e2e.ports import free_port
from tests.faults.plan import Fault
from tests.stores_fixtures import make_tables

COLLECTION: Final = "sessions"
START_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.03

Running = TypeVar("Running")


class Traits(Struct, frozen=True, kw_only=True):
    """What the fire has to know of a kind of store; `backend` is that of a SessionCluster."""

    backend: Mapping[str, Any]
    writes: tuple[bytes, ...] = ()
    """What is in the requests that write, and in no other one."""
    has_streams: bool = False
    has_clock: bool = True
    """Its own; else it is the node's, and all sidecars are to be on one."""
    spared: frozenset[Fault] = frozenset()
    """What cannot be done to it, or what it does not promise to outlive."""


class Store(Protocol):
    """A store of which every sidecar has a link of its own."""

    traits: Traits

    @property
    def port(self) -> int:
        """Where the server listens; 0 if there is none."""

    def uri(self, port: int) -> str:
        """As it is reached by a link on this port; empty where there is no server."""

    def kill(self) -> None:
        """End it as a crash would."""

    async def start(self) -> None:
        """Start it unless it runs, and wait until it takes connections: nobody else can tell."""

    def freeze(self, *, is_frozen: bool) -> None:
        """Have it hang with its connections open, or go on."""


class _SecantusDB(Store):
    """MongoDB's protocol, durable as it says."""

    def __init__(self, traits: Traits, folder: Path) -> None:
        self.traits = traits
        self.server = EmbeddedServer(folder, ["--sync-on-commit"], port=free_port())

    @property
    def port(self) -> int:
        return int(self.server.uri.rstrip("/").rpartition(":")[2])

    def uri(self, port: int) -> str:
        return direct_uri(port)

    def kill(self) -> None:
        self.server.kill()

    async def start(self) -> None:
        if self.server.pid is None:
            self.server.start()
        async with asyncio.timeout(START_SECONDS):
            while not await asyncio.to_thread(self._is_answering):  # noqa: ASYNC110
                await asyncio.sleep(POLL_SECONDS)

    def _is_answering(self) -> bool:
        """Started again if it has ended: somebody may have had its port for a moment."""
        try:
            return self.server.is_answering()
        except ConfigurationError:
            self.server.kill()
            self.server.start()
            return False

    def freeze(self, *, is_frozen: bool) -> None:
        if self.server.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.server.pid, signal.SIGSTOP if is_frozen else signal.SIGCONT)


class _Server(Store):
    """Any other server."""

    def __init__(self, traits: Traits, server: Database) -> None:
        self.traits = traits
        self._server = server

    @property
    def port(self) -> int:
        return self._server.port

    def uri(self, port: int) -> str:
        return self._server.uri.replace(f":{self.port}", f":{port}")

    def kill(self) -> None:
        self._server.kill()

    async def start(self) -> None:
        if self._server.pid is None:
            await asyncio.to_thread(self._server.start)

    def freeze(self, *, is_frozen: bool) -> None:
        if self._server.pid is not None:
            (self._server.pause if is_frozen else self._server.resume)()


class _Folder(Store):
    """Files that the sidecars share: there is no server, and nothing goes over a link."""

    def __init__(self, traits: Traits) -> None:
        self.traits = traits

    @property
    def port(self) -> int:
        return 0

    def uri(self, port: int) -> str:
        del port
        return ""

    def kill(self) -> None:
        """There is nothing to kill."""

    async def start(self) -> None:
        """There is nothing to start."""

    def freeze(self, *, is_frozen: bool) -> None:
        """There is nothing to freeze."""


Opened: TypeAlias = AbstractAsyncContextManager[Store]


@asynccontextmanager
async def secantusdb(traits: Traits, folder: Path) -> AsyncIterator[Store]:
    store = _SecantusDB(traits, folder)
    try:
        await store.start()
        await asyncio.to_thread(make_tables, store.server.uri, COLLECTION, COLLECTION)
        await _make_indexes(store.server.uri)
        yield store
    finally:
        store.freeze(is_frozen=False)
        store.kill()


async def _make_indexes(uri: str) -> None:
    """As `check` does: where they meet the first inserts, SecantusDB may stand still for long."""
    store = MongoStore(Connection(UriSource(SecretText(uri))), COLLECTION, COLLECTION)
    await store.prepare()
    await store.close()


def database(kind: type[Database]) -> Callable[[Traits, Path], Opened]:
    @asynccontextmanager
    async def opened(traits: Traits, _folder: Path) -> AsyncIterator[Store]:
        async with _started(running(kind, port=free_port())) as database:
            store = _Server(traits, database)
            try:
                yield store
            finally:
                store.freeze(is_frozen=False)

    return opened


@asynccontextmanager
async def hazelcast(traits: Traits, _folder: Path) -> AsyncIterator[Store]:
    async with _started(running_members(1)) as (member,):
        store = _Server(traits, member)
        try:
            yield store
        finally:
            store.freeze(is_frozen=False)


@asynccontextmanager
async def _started(server: AbstractContextManager[Running]) -> AsyncIterator[Running]:
    """A server that blocks while it starts, and while it ends."""
    entered = await asyncio.to_thread(server.__enter__)
    try:
        yield entered
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)


@asynccontextmanager
async def shared_folder(traits: Traits, folder: Path) -> AsyncIterator[Store]:
    member = traits.backend["type"].lower()
    places = {name: str(folder / "sessions") for name in traits.backend[member]}
    await asyncio.to_thread(folder.mkdir)
    yield _Folder(structs.replace(traits, backend={**traits.backend, member: places}))


def direct_uri(port: int) -> str:
    """Of a MongoDB: else the driver would learn the server's own address, and go round a link."""
    return f"mongodb://{HOST}:{port}/?directConnection=true"
