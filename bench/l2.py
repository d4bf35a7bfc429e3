"""What the L2 saves of a load: `python -m bench.l2 postgresql|mysql|sqlite|mongodb`.

The same loads of the same sessions, in turns: by the store alone, with their content in memcached,
and with memcached empty, where each load asks it in vain, loads, and fills it.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import uvloop
from moorline_sidecar.config.secrets import SecretText
from moorline_sidecar.domain.session import Session
from moorline_sidecar.stores.base import SessionStore
from moorline_sidecar.stores.connection import FixedSource
from moorline_sidecar.stores.embedded import embedded_server
from moorline_sidecar.stores.l2 import L2Store
from moorline_sidecar.stores.memcached import Memcached
from moorline_sidecar.stores.mongodb import MongoStore
from moorline_sidecar.stores.mongodb_client import Connection
from moorline_sidecar.stores.sql import sql_store
from moorline_sidecar.stores.uri_source import UriSource
from msgspec.structs import replace

from bench.sql import BATCH, KINDS, Call, a_session, rate, show
from e2e.app.databases import MemcachedServer, running

SESSIONS: Final = 400
SHAPES: Final[dict[str, tuple[int, int]]] = {
    "1 KB in 10": (10, 100),
    "1 KB in one": (1, 1_000),
    "50 KB in 50": (50, 1_000),
    "200 KB in one": (1, 200_000),
}
"""Attributes, and characters in each."""

GROWN: Final = 1_000_000
"""Numbers of a cluster whose items nobody has put there."""


def sessions_of(shape: str) -> list[Session]:
    number, size = SHAPES[shape]
    content = {f"attribute{n}": "x" * size for n in range(number)}
    return [
        replace(a_session(n), key=f"{shape} {n:06d}", write_id=str(n), contexts={"/": content})
        for n in range(SESSIONS)
    ]


def loads(store: SessionStore, sessions: list[Session], size: int) -> Call:
    async def call(n: int) -> int:
        keys = [sessions[(n * size + m) % SESSIONS].key for m in range(size)]
        found = await store.load(keys)
        if len(found) != size:
            raise RuntimeError(f"{len(found)} of {size} sessions")
        return size

    return call


def misses(store: SessionStore, cache: Memcached, sessions: list[Session], size: int) -> Call:
    """Each call is of a cluster of its own, so that memcached has nothing of it."""

    async def call(n: int) -> int:
        return await loads(L2Store(store, cache, str(GROWN + n)), sessions, size)(n)

    return call


async def measure(store: SessionStore, address: str, seconds: float) -> None:
    """Print the rates."""
    await store.prepare()
    for shape in SHAPES:
        sessions = sessions_of(shape)
        for session in sessions:
            await store.insert(session)
        # A machine that is busy with measuring is late by itself.
        cache = Memcached([address], patience=1.0)
        behind = L2Store(store, cache, shape)
        await cache.prepare()
        for session in sessions:
            await behind.load([session.key])
            await cache.drain()
        print(f"{shape} attributes")
        for size in (1, BATCH):
            show(
                f"alone, {size} a call", "loads", await rate(loads(store, sessions, size), seconds)
            )
            show(f"L2, {size} a call", "loads", await rate(loads(behind, sessions, size), seconds))
            empty = misses(store, cache, sessions, size)
            show(f"empty L2, {size} a call", "loads", await rate(empty, seconds))
            await cache.drain()
        print(f"{'':>20}  {behind.counts}, {cache.errors} errors")
        await cache.close()
    await store.close()


@contextmanager
def opened(kind: str) -> Iterator[str]:
    """The URI of a running store of this kind."""
    dialect_server = KINDS[kind][1]
    with ExitStack() as stack:
        if dialect_server is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            yield str(Path(folder) / "sessions.db")
        else:
            yield stack.enter_context(running(dialect_server)).uri


async def measure_mongodb(address: str, seconds: float) -> None:
    async with embedded_server() as server:
        connection = Connection(UriSource(SecretText(server.uri)))
        await measure(MongoStore(connection, "bench", "sessions"), address, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("kind", choices=[*KINDS, "mongodb"])
    parser.add_argument("--seconds", type=float, default=3.0, help="for each rate")
    arguments = parser.parse_args()
    with (
        running(MemcachedServer, "-m", "512") as memcached,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        if arguments.kind == "mongodb":
            runner.run(measure_mongodb(memcached.address, arguments.seconds))
            return
        with opened(arguments.kind) as uri:
            store = sql_store(KINDS[arguments.kind][0], FixedSource(uri), "sessions")
            runner.run(measure(store, memcached.address, arguments.seconds))


if __name__ == "__main__":
    main()
