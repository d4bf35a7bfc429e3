"""What Redis' store reads and writes a second: `python -m bench.redis`.

Beside it the raw client of the driver on the same server, GET and SET of as many bytes as the
session has, by as many at once. Every write is on the disk before it is acknowledged, unless
`--fsync` says otherwise.
"""

from __future__ import annotations

import argparse
import asyncio

from moorline_sidecar.stores.connection import FixedSource
from moorline_sidecar.stores.redis import redis_store
from redis.asyncio import Redis

from bench.sql import ATTRIBUTES, BYTES, SESSIONS, rate, show, show_store
from e2e.app.databases import RedisServer, running


async def measure(uri: str, seconds: float) -> None:
    """Print the rates."""
    await show_store(redis_store(FixedSource(uri), "bench:"), seconds)
    client = Redis.from_url(uri)
    content = "x" * BYTES * ATTRIBUTES

    async def read(n: int) -> int:
        await client.get(f"raw:{n % SESSIONS}")
        return 1

    async def write(n: int) -> int:
        await client.set(f"raw:{n % SESSIONS}", content)
        return 1

    show("raw writes", "values", await rate(write, seconds))
    show("raw reads", "values", await rate(read, seconds))
    await client.aclose()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="for each rate")
    parser.add_argument("--fsync", choices=("always", "everysec", "no"), default="always")
    arguments = parser.parse_args()
    with running(RedisServer, "--appendfsync", arguments.fsync) as server:
        import uvloop  # noqa: PLC0415 as the sidecar does

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(measure(server.uri, arguments.seconds))


if __name__ == "__main__":
    main()
