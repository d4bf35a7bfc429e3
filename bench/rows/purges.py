"""A purge of half of all records, beside a raw `delete_many` of the same."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bson.int64 import Int64
from moorline_sidecar.domain.ids import hashed_key
from moorline_sidecar.stores.embedded import EmbeddedServer
from msgspec import Struct
from pymongo import MongoClient

from bench.errors import BenchError
from bench.figures import Figure, ratio
from bench.population import BATCH, DATABASE
from bench.processes import finished, resident_bytes, running
from bench.results import Row, at_least, at_most
from bench.servers import sidecar_command, sidecar_environment, store, write_configuration
from bench.settings import Settings
from bench.stage import chance_of, say

DOCUMENTS: Final = 10_000
QUICK_DOCUMENTS: Final = 2_000
ROUNDS: Final = 2
SAMPLE_SECONDS: Final = 0.05
FIRST_PART: Final = 0.2
"""Of a purge: it connects, and is as large as it will be after its first batches."""

DAY: Final = timedelta(days=1)
DEADLINE_SECONDS: Final = 2 * 3600.0

Document = dict[str, Any]


class Purged(Struct, frozen=True):
    """A purge by the sidecar's command: what it took, and its memory in bytes over time."""

    seconds: float
    memory: list[int]


def measure(settings: Settings) -> Iterator[Row]:
    count = settings.sized(DOCUMENTS, QUICK_DOCUMENTS)
    ours: list[Purged] = []
    theirs: list[float] = []
    for number in range(ROUNDS):
        with store(settings, f"purge-{number}") as database:
            for collection in ("purged", "raw"):
                _fill(settings, database, collection, count)
            say(f"round {number + 1}: purge of {count // 2:,} of {count:,}")
            ours.append(_purge(settings, database, count))
            say(f"round {number + 1}: delete_many of {count // 2:,} of {count:,}")
            theirs.append(_delete_many(settings, database, count))
    yield from _rows(count, ours, theirs)


def _rows(count: int, ours: list[Purged], theirs: list[float]) -> Iterator[Row]:
    seconds = [purged.seconds for purged in ours]
    yield Row(
        name="purge",
        what=f"purge, {count:,} records, half to delete",
        against="a raw `delete_many` of the same documents",
        target=at_least(0.7),
        value=ratio(theirs, seconds),
        ours=f"{count / 2 / min(seconds):,.0f} records/s",
        theirs=f"{count / 2 / min(theirs):,.0f} records/s",
    )
    memory = [value for purged in ours for value in purged.memory]
    growth = max(memory) / min(memory)
    yield Row(
        name="purge-memory",
        what="memory of the purging process, most to least once it runs",
        against="flat",
        target=at_most(1.05),
        value=Figure(growth, growth, growth),
        ours=f"{min(memory) / 1e6:.1f} to {max(memory) / 1e6:.1f} MB",
    )


def _purge(settings: Settings, database: EmbeddedServer, count: int) -> Purged:
    """Run the command; the seconds are its own count, without its start."""
    configuration = write_configuration(settings, "purge", database.uri, "purged", None)
    result = settings.folder / "purge-result.json"
    command = [*sidecar_command(settings), "purge", "--config", str(configuration)]
    command += ["--result-file", str(result)]
    seen: list[tuple[float, int]] = []
    log = settings.folder / "purge.log"
    environment = sidecar_environment(database.uri)
    with running(settings.cores.server, command, log, environment) as process:
        while process.poll() is None:
            seen.append((time.monotonic(), resident_bytes(process.pid)))
            time.sleep(SAMPLE_SECONDS)
    told = json.loads(result.read_text())
    deleted = told["invalidDeleted"] + told["validDeleted"]
    if deleted != count // 2 or not told["complete"]:
        raise BenchError(f"the purge deleted {deleted} of {count // 2}: {told}")
    seconds = float(told["durationSeconds"])
    return Purged(seconds, settled(seen, seconds))


def settled(seen: Sequence[tuple[float, int]], seconds: float) -> list[int]:
    """Of memory seen over time, what was seen in the purge itself, the last `seconds`.

    Before it the process starts, which on a busy machine takes longer than the purge.
    """
    begun = seen[-1][0] - (1 - FIRST_PART) * seconds
    return [resident for at, resident in seen if at >= begun and resident]


def _delete_many(settings: Settings, database: EmbeddedServer, count: int) -> float:
    """The seconds of two calls by hand, one for each kind."""
    command = [sys.executable, "-m", "bench.peers.raw_delete", database.uri, "raw"]
    told = json.loads(finished(settings.cores.server, command, DEADLINE_SECONDS))
    if told["deleted"] != count // 2:
        raise BenchError(f"delete_many deleted {told['deleted']} of {count // 2}")
    return float(told["seconds"])


def _fill(settings: Settings, database: EmbeddedServer, collection: str, count: int) -> None:
    """Records of which half are to go, under the indexes that a cluster has."""
    configuration = write_configuration(settings, "check", database.uri, collection, None)
    checking = [*sidecar_command(settings), "check", "--config", str(configuration)]
    log = settings.folder / "check.log"
    with running(
        settings.cores.server, checking, log, sidecar_environment(database.uri)
    ) as process:
        if process.wait(60) != 0:
            raise BenchError(f"check failed: {log.read_text()[-500:]}")
    client: MongoClient[Document] = MongoClient(database.uri)
    with client:
        target = client[DATABASE][collection]
        now, chance = datetime.now(UTC), chance_of(settings, collection)
        for first in range(0, count, BATCH):
            say(f"filling {collection}: {first:,} of {count:,}")
            numbers = range(first, min(first + BATCH, count))
            records = [record(number, now - DAY * chance.random()) for number in numbers]
            target.insert_many(records, ordered=False)


def record(number: int, now: datetime) -> Document:
    """Every other one to be purged: tombstones of two days, and sessions of two weeks.

    With a `now` up to a day ago they are as they are found by a purge each night.
    """
    is_old = number % 2 == 0
    begun = now - timedelta(days=14 if is_old else 1)
    common = {"_id": hashed_key(f"purge-{number:012d}"), "version": Int64(3), "created": begun}
    if number // 2 % 2:
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
