"""How a purge behaves on many documents: `python -m bench.purge [--documents N]`.

Starts an embedded store, fills it with N tombstones and sessions of which half are to go, runs
`moorline-sidecar purge`, kills it in the middle with SIGKILL, runs it again, and prints what was
deleted, how fast, and the memory of the purging process over time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from bson.int64 import Int64
from moorline_sidecar.domain.ids import hashed_key
from moorline_sidecar.stores.embedded import EmbeddedServer, embedded_server
from pymongo import AsyncMongoClient

BATCH: Final = 5_000
SAMPLE_SECONDS: Final = 0.5
STARTING_SAMPLES: Final = 4
"""Not counted: the process is still importing."""

Documents = list[dict[str, Any]]


def documents(first: int, count: int, now: datetime) -> Documents:
    """Half of them to be purged: tombstones of two days, and sessions of two weeks."""
    return [_document(number, now) for number in range(first, first + count)]


def _document(number: int, now: datetime) -> dict[str, Any]:
    is_old = number % 2 == 0
    begun = now - timedelta(days=14 if is_old else 1)
    common = {"_id": hashed_key(f"purge-{number:012d}"), "version": Int64(3), "created": begun}
    if number % 4 < 2:  # noqa: PLR2004 every other pair
        ended = now - timedelta(days=2 if is_old else 0)
        return {
            **common,
            "valid": False,
            "accessed": begun,
            "invalidated": ended,
            "reason": "logout",
        }
    return {
        **common,
        "valid": True,
        "lastAccessed": begun,
        "accessed": begun,
        "expiry": begun + timedelta(minutes=30) if is_old else now + timedelta(days=1),
        "maxIdle": Int64(1_800_000),
        "lastNode": "node1",
        "lastSaved": begun,
        "cookieSet": begun,
        "context": {"/": {"user": "ada", "cart": [Int64(1), Int64(2)]}},
    }


async def fill(server: EmbeddedServer, count: int) -> None:
    """Insert so many documents, telling how it goes."""
    now = datetime.now(UTC)
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(server.uri)
    try:
        collection = client["sessions"]["purge"]
        started = time.monotonic()
        for first in range(0, count, BATCH):
            await collection.insert_many(
                documents(first, min(BATCH, count - first), now), ordered=False
            )
            rate = (first + BATCH) / (time.monotonic() - started)
            print(f"\rfilling: {min(first + BATCH, count):,} of {count:,}, {rate:,.0f}/s", end="")
        print()
    finally:
        await client.close()


def start_purge(server: EmbeddedServer, folder: Path) -> subprocess.Popen[bytes]:
    """A real `moorline-sidecar purge` of the filled collection."""
    configuration = folder / "purge.json"
    backend = {"type": "MongoDB", "mongodb": {"collection": "purge"}}
    configuration.write_text(
        json.dumps({"cluster": {"name": "bench"}, "spec": {"backend": backend}})
    )
    command = [sys.executable, "-m", "moorline_sidecar", "purge", "--config", str(configuration)]
    environment = {**os.environ, "MOORLINE_BACKEND_URI": server.uri}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)


def watch(process: subprocess.Popen[bytes], kill_after_s: float | None) -> list[int]:
    """Resident kilobytes over time, until the process ends or is killed."""
    started = time.monotonic()
    samples = []
    while process.poll() is None:
        samples.append(_resident_kib(process.pid))
        if kill_after_s is not None and time.monotonic() - started > kill_after_s:
            process.kill()
            process.wait()
            break
        time.sleep(SAMPLE_SECONDS)
    return [sample for sample in samples if sample]


def _resident_kib(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    lines = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(lines[0].split()[1]) if lines else 0


async def left(server: EmbeddedServer) -> int:
    """How many documents there are."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(server.uri)
    try:
        return await client["sessions"]["purge"].count_documents({})
    finally:
        await client.close()


async def run(count: int, kill_after_s: float) -> None:
    """The whole story, printed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with embedded_server(folder / "store") as server:
            _make_indexes(server, folder)
            await fill(server, count)
            killed = watch(start_purge(server, folder), kill_after_s)
            after_kill = await left(server)
            print(f"killed after {kill_after_s:.0f} s: {count - after_kill:,} deleted")
            second = start_purge(server, folder)
            started = time.monotonic()
            samples = watch(second, None)
            seconds = time.monotonic() - started
            result = json.loads((second.stdout.read() if second.stdout else b"{}").splitlines()[-1])
            remaining = await left(server)
            print(f"second run: {result}")
            print(f"left: {remaining:,} of {count:,}, {(after_kill - remaining) / seconds:,.0f}/s")
            steady = killed[STARTING_SAMPLES:] + samples[STARTING_SAMPLES:]
            print(f"memory: {min(steady):,} to {max(steady):,} KiB")


def _make_indexes(server: EmbeddedServer, folder: Path) -> None:
    """With an empty purge: indexes are made by `check`, which is what a cluster does first."""
    configuration = folder / "check.json"
    backend = {"type": "MongoDB", "mongodb": {"collection": "purge"}}
    configuration.write_text(
        json.dumps({"cluster": {"name": "bench"}, "spec": {"backend": backend}})
    )
    command = [sys.executable, "-m", "moorline_sidecar", "check", "--config", str(configuration)]
    subprocess.run(
        command,
        env={**os.environ, "MOORLINE_BACKEND_URI": server.uri},
        check=True,
        stdout=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--kill-after", type=float, default=10.0, help="seconds")
    arguments = parser.parse_args()
    asyncio.run(run(arguments.documents, arguments.kill_after))
