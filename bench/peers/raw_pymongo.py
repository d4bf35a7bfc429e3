"""What the driver costs by hand: find_one or update_one, so many at once, on uvloop.

`raw_pymongo.py URI COLLECTION FILE SEED SECONDS CONCURRENCY`: the file has a JSON line for each
call: the key, and the update or null. Prints what it saw as JSON (`bench.load.Work`).
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from pathlib import Path
from typing import Any, TypeAlias

import uvloop
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.write_concern import WriteConcern

from bench.clients.telling import tell

Document: TypeAlias = dict[str, Any]
Call: TypeAlias = tuple[str, Document | None]


async def call(target: AsyncCollection[Document], key: str, update: Document | None) -> None:
    """Make a call.

    Raises:
        LookupError: nothing was found.
    """
    if update is None:
        found = await target.find_one({"_id": key}) is not None
    else:
        found = (await target.update_one({"_id": key}, update)).matched_count == 1
    if not found:
        raise LookupError(key)


async def main(uri: str, collection: str, calls: list[Call], how: tuple[str, float, int]) -> None:
    seed, seconds, concurrency = how
    chance = random.Random(seed)  # noqa: S311 - it protects nothing
    latencies: list[int] = []
    async with AsyncMongoClient[Document](uri) as client:
        # As the sidecar asks for by default.
        concern = WriteConcern("majority", j=True)
        target = client["sessions"].get_collection(collection, write_concern=concern)
        await call(target, *calls[0])
        started, spent = time.perf_counter_ns(), time.process_time()
        end = started + int(seconds * 1e9)

        async def work() -> None:
            while (begun := time.perf_counter_ns()) < end:
                await call(target, *chance.choice(calls))
                latencies.append(time.perf_counter_ns() - begun)

        async with asyncio.TaskGroup() as workers:
            for _ in range(concurrency):
                workers.create_task(work())
        spent = time.process_time() - spent
        tell(latencies, time.perf_counter_ns() - started, cpu_seconds=spent)


if __name__ == "__main__":
    uri, collection, file, seed, seconds, concurrency = sys.argv[1:]
    lines = Path(file).read_text(encoding="utf-8").splitlines()
    how = seed, float(seconds), int(concurrency)
    uvloop.run(main(uri, collection, [tuple(json.loads(line)) for line in lines], how))
