"""What Infinispan's store reads and writes a second: `python -m bench.infinispan`.

Beside it bare requests to get and to put as many bytes as the session has, by as many at once, and
what a search costs that looks at each of so many sessions.
"""

from __future__ import annotations

import argparse
import asyncio
import time

from moorline_sidecar.stores import infinispan_wire as wire
from moorline_sidecar.stores.connection import FixedSource
from moorline_sidecar.stores.infinispan import infinispan_store
from moorline_sidecar.stores.infinispan_client import Client
from moorline_sidecar.stores.infinispan_protobuf import wrapped_text

from bench.sql import ATTRIBUTES, BYTES, SESSIONS, a_session, rate, show, show_store
from e2e.app.databases import running
from e2e.app.infinispan import InfinispanServer

CACHE = "bench"
AT_ONCE = 4


async def measure(uri: str, seconds: float, records: int) -> None:
    """Print the rates."""
    store = infinispan_store(FixedSource(uri), CACHE)
    await store.prepare()
    await show_store(store, seconds)
    client = Client(uri)
    content = wrapped_text("x" * BYTES * ATTRIBUTES)

    async def ask(request: wire.Request) -> int:
        async with client.lease() as connection:
            await connection.ask(request)
        return 1

    async def read(n: int) -> int:
        return await ask(wire.get(CACHE, wrapped_text(f"raw:{n % SESSIONS}")))

    async def write(n: int) -> int:
        return await ask(wire.put(CACHE, wrapped_text(f"raw:{n % SESSIONS}"), content))

    show("raw writes", "values", await rate(write, seconds))
    show("raw reads", "values", await rate(read, seconds))
    await client.close()
    await measure_search(uri, records)


async def measure_search(uri: str, records: int) -> None:
    store = infinispan_store(FixedSource(uri), f"{CACHE}-search")
    await store.prepare()

    async def fill(first: int) -> None:
        for number in range(first, records, AT_ONCE):
            await store.insert(a_session(number))

    await asyncio.gather(*map(fill, range(AT_ONCE)))
    for name, search in (
        ("expired", lambda: store.expired(1, 0)),
        ("by principal", lambda: store.by_principal("nobody", None, 10)),
    ):
        await search()
        began = time.perf_counter()
        await search()
        print(f"{name} of {records}: {(time.perf_counter() - began) * 1_000:.0f} ms")
    await store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="for each rate")
    parser.add_argument("--records", type=int, default=10_000, help="that a search looks at")
    arguments = parser.parse_args()
    with running(InfinispanServer) as server:
        import uvloop  # noqa: PLC0415 as the sidecar does

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(measure(server.uri, arguments.seconds, arguments.records))


if __name__ == "__main__":
    main()
