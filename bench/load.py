"""Load from processes of their own, and what they saw."""

from __future__ import annotations

import enum
import itertools
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from bench.generator import generator
from bench.processes import cpu_seconds, finished
from bench.servers import Server
from bench.settings import Settings

GRACE_SECONDS: Final = 30.0
PASS_SECONDS: Final = 300.0
"""At most, for each request of a file once."""

ANY: Final = 0
"""As a status: of reads or of changes."""

_LOADS = itertools.count()
"""A load's own part of its seed: drawn alike, the first requests of one would be of what the last
ones of the load before have left in a small cache."""


class Protocol(enum.StrEnum):
    """What a server is asked in."""

    HTTP = "http"
    REDIS = "redis"


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


def load(  # noqa: PLR0913 each is a fact of its own
    settings: Settings,
    server: Server,
    shots: Path,
    *,
    connections: int,
    seconds: float,
    status: int = 200,
    protocol: Protocol = Protocol.HTTP,
    address: str | int | None = None,
) -> Sample:
    """Requests of a file at random, on keep-alive connections, each answer checked.

    `address` is the path of a unix socket, where it is not the port of the server.

    Raises:
        BenchError: a single answer was wrong.
    """
    how = (address or server.port, shots, connections, status, _seed(settings), seconds)
    command = [str(generator(settings.folder)), protocol, *map(str, how)]
    return measured(server, lambda: _work(settings, command, seconds + GRACE_SECONDS))


def ask_each(settings: Settings, server: Server, shots: Path, *, connections: int) -> None:
    """Each request of a file once, in its order.

    Raises:
        BenchError: a single answer was wrong.
    """
    how = (server.port, shots, connections, 200, _seed(settings), "each")
    command = [str(generator(settings.folder)), Protocol.HTTP, *map(str, how)]
    _work(settings, command, PASS_SECONDS)


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
    """The same by a program of `clients/` in Python: at a fixed rate.

    Raises:
        BenchError: a single answer was wrong.
    """
    command = [sys.executable, "-m", f"bench.clients.{program}", str(address), str(shots)]
    command += [str(word) for word in (_seed(settings), seconds, status, *options)]

    return measured(server, lambda: _work(settings, command, 2 * seconds + GRACE_SECONDS))


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


def _work(settings: Settings, command: Sequence[str], seconds: float) -> Work:
    output = finished(settings.cores.load, command, seconds)
    return msgspec.json.decode(output, type=Work)


def _seed(settings: Settings) -> str:
    return str(1_000_000 * settings.seed + next(_LOADS))
