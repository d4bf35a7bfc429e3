"""What Hazelcast's store reads and writes a second: `python -m bench.hazelcast`.

Beside it the raw client on the same members, get and set of as many bytes as the session has, by as
many at once.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from typing import Any

from hazelcast.asyncio import HazelcastClient
from moorline_sidecar.config.secrets import SecretText
from moorline_sidecar.stores.hazelcast import hazelcast_store
from moorline_sidecar.stores.uri_source import UriSource

from bench.sql import ATTRIBUTES, BYTES, SESSIONS, rate, show, show_store
from e2e.app.hazelcast import CLUSTER, running_members


async def measure(members: Sequence[str], seconds: float) -> None:
    """Print the rates."""
    source = UriSource(SecretText("hazelcast://"))
    await show_store(hazelcast_store(source, CLUSTER, members, "sessions"), seconds)
    client = await HazelcastClient.create_and_start(
        cluster_name=CLUSTER, cluster_members=list(members)
    )
    raw: Any = await client.get_map("raw")
    content = "x" * BYTES * ATTRIBUTES

    async def read(n: int) -> int:
        await raw.get(f"{n % SESSIONS:043d}")
        return 1

    async def write(n: int) -> int:
        await raw.set(f"{n % SESSIONS:043d}", content)
        return 1

    show("raw writes", "values", await rate(write, seconds))
    show("raw reads", "values", await rate(read, seconds))
    await client.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="for each rate")
    parser.add_argument("--members", type=int, default=1, help="with one backup from two on")
    arguments = parser.parse_args()
    with running_members(arguments.members) as members:
        import uvloop  # noqa: PLC0415 as the sidecar does

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            addresses = [member.address for member in members]
            runner.run(measure(addresses, arguments.seconds))


if __name__ == "__main__":
    main()
