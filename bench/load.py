"""Load from processes of their own, and what they saw: wrk for HTTP, redis-benchmark for Redis."""

from __future__ import annotations

import csv
import itertools
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from bench.errors import BenchError
from bench.processes import HOST, cpu_seconds, finished
from bench.servers import Server, tool
from bench.settings import Settings

SCRIPT: Final = Path(__file__).with_name("wrk.lua")
GRACE_SECONDS: Final = 30.0
REDIS_KEY: Final = "session:{:012d}"
"""As redis-benchmark draws them."""


_LOADS = itertools.count()
"""A load's own part of its seed: drawn alike, the first requests of one would be of what the last
ones of the load before have left in a small cache."""


class Sample(Struct, frozen=True, kw_only=True):
    """One measurement. `cpu_us` is the server's CPU time a request, `busy` its part of a core."""

    rate: float
    p50_us: float
    p99_us: float
    cpu_us: float
    busy: float


class Work(Struct, frozen=True):
    """What a load generator counted."""

    requests: int
    seconds: float
    p50_us: float
    p99_us: float


class WorkByHand(Work, frozen=True):
    """What a program counted that is server and load in one."""

    cpu_seconds: float


def measured(server: Server, work: Callable[[], Work]) -> Sample:
    """What work costs and how it goes."""
    before, started = cpu_seconds(server.pid), time.monotonic()
    done = work()
    spent, seconds = cpu_seconds(server.pid) - before, time.monotonic() - started
    return Sample(
        rate=done.requests / done.seconds,
        p50_us=done.p50_us,
        p99_us=done.p99_us,
        cpu_us=spent / done.requests * 1e6,
        busy=spent / seconds,
    )


def wrk(  # noqa: PLR0913 each is a fact of its own
    settings: Settings,
    server: Server,
    shots: Path,
    *,
    connections: int,
    seconds: float,
    status: int = 200,
) -> Sample:
    """Requests of a file at random, on keep-alive connections, each answer checked.

    Raises:
        BenchError: a single answer was wrong.
    """
    return measured(
        server, partial(_wrk, settings, server.url, shots, (connections, seconds, status))
    )


def client(  # noqa: PLR0913 each is a fact of its own
    settings: Settings,
    server: Server,
    program: str,
    address: str | int,
    shots: Path,
    *,
    seconds: float,
    status: int = 200,
    options: Sequence[object] = (),
) -> Sample:
    """The same by a program of `clients/`, where wrk cannot go.

    Raises:
        BenchError: a single answer was wrong.
    """
    command = [sys.executable, "-m", f"bench.clients.{program}", str(address), str(shots)]
    command += [str(word) for word in (_seed(settings), seconds, status, *options)]

    def work() -> Work:
        output = finished(settings.cores.load, command, 2 * seconds + GRACE_SECONDS)
        return msgspec.json.decode(output, type=Work)

    return measured(server, work)


def by_hand(
    settings: Settings, target: tuple[str, str], calls: Path, *, concurrency: int, seconds: float
) -> Sample:
    """Calls of the driver, made on the core of the servers: `peers/raw_pymongo.py`.

    `target` is the URI of the store and the collection.
    """
    command = [sys.executable, "-m", "bench.peers.raw_pymongo", *target, str(calls)]
    command += [str(word) for word in (_seed(settings), seconds, concurrency)]
    output = finished(settings.cores.server, command, 2 * seconds + GRACE_SECONDS)
    done = msgspec.json.decode(output, type=WorkByHand)
    return Sample(
        rate=done.requests / done.seconds,
        p50_us=done.p50_us,
        p99_us=done.p99_us,
        cpu_us=done.cpu_seconds / done.requests * 1e6,
        busy=done.cpu_seconds / done.seconds,
    )


def _wrk(settings: Settings, url: str, shots: Path, how: tuple[int, float, int]) -> Work:
    connections, seconds, status = how
    command = [tool("wrk", "wrk"), "--threads", "1", "--connections", str(connections)]
    # Its durations are whole seconds.
    command += ["--duration", f"{max(round(seconds), 1)}s", "--timeout", "10s"]
    command += ["--script", str(SCRIPT), url, "--", str(shots), _seed(settings), str(status)]
    output = finished(settings.cores.load, command, seconds + GRACE_SECONDS)
    return work_of_wrk(output)


def _seed(settings: Settings) -> str:
    return str(1_000_000 * settings.seed + next(_LOADS))


def work_of_wrk(output: str) -> Work:
    """What `wrk.lua` printed at the end.

    Raises:
        BenchError: an answer was wrong, or there was none.
    """
    lines = [line for line in output.splitlines() if line.startswith("result\t")]
    if not lines:
        raise BenchError(f"wrk told no result: {output[-500:]}")
    _, requests, duration_us, p50, p99, broken, refused, example = lines[-1].split("\t")
    if int(requests) == 0:
        raise BenchError("wrk had no answer at all")
    if int(broken) or int(refused):
        raise BenchError(f"{refused} wrong answers and {broken} broken connections: {example}")
    return Work(int(requests), int(duration_us) / 1e6, float(p50), float(p99))


def redis_get(
    settings: Settings, server: Server, keys: int, *, connections: int, requests: int
) -> Sample:
    """`GET` of keys at random, each of which has to be there.

    Raises:
        BenchError: a key was missing.
    """
    return measured(server, partial(_redis_get, settings, server, keys, (connections, requests)))


def _redis_get(settings: Settings, server: Server, keys: int, how: tuple[int, int]) -> Work:
    connections, requests = how
    hits, misses = redis_hits(server)
    command = [tool("redis-benchmark", "redis-tools"), "-h", HOST, "-p", str(server.port), "--csv"]
    command += ["-c", str(connections), "-n", str(requests), "-r", str(keys)]
    command += ["--precision", "3", "GET", "session:__rand_int__"]
    output = finished(settings.cores.load, command, 10 * GRACE_SECONDS)
    hits_after, misses_after = redis_hits(server)
    if misses_after != misses or hits_after - hits < requests:
        raise BenchError(f"redis missed {misses_after - misses} keys of {requests}")
    return work_of_redis(output, requests)


def work_of_redis(output: str, requests: int) -> Work:
    """What `redis-benchmark --csv` printed."""
    row = next(csv.DictReader(output.splitlines()))
    seconds = requests / float(row["rps"])
    p50, p99 = (float(row[f"p{part}_latency_ms"]) * 1e3 for part in (50, 99))
    return Work(requests, seconds, p50, p99)


def redis_hits(server: Server) -> tuple[int, int]:
    """Hits and misses since its start."""
    command = ["redis-cli", "-p", str(server.port), "info", "stats"]
    lines = finished(0, command, GRACE_SECONDS).splitlines()
    told = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(told["keyspace_hits"]), int(told["keyspace_misses"])
