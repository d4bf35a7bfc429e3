"""What cached sessions take, and whether the bound of the cache is one of real memory."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Final

from bench.figures import Figure, figure
from bench.gauges import metrics, statistics
from bench.population import Member, members, store_all
from bench.processes import POLL_SECONDS, START_SECONDS, resident_bytes
from bench.reading import read_all
from bench.results import Row, at_most
from bench.servers import WORKER, Sidecar, sidecar, store
from bench.settings import Settings
from bench.stage import chance_of, say

SESSIONS: Final = 10_000
QUICK_SESSIONS: Final = 4_000
BOUND_PARTS: Final = 4
"""The bound of the churn: so small a part of what all sessions would take."""

PASSES: Final = 2
STEP: Final = 500


def measure(settings: Settings) -> Iterator[Row]:
    count = settings.sized(SESSIONS, QUICK_SESSIONS)
    population = list(members(count, chance_of(settings, "memory")))
    with store(settings) as database:
        say(f"storing {count:,} sessions")
        store_all(database.uri, "sessions", population, WORKER)
        with sidecar(settings, database.uri) as process:
            yield _per_session(process, population)
            bound = statistics(process)["cachedBytes"] // BOUND_PARTS
        spec = {"cache": {"maxBytes": bound}}
        with sidecar(settings, database.uri, spec=spec) as process:
            yield from _churn(process, population, bound)


def idle_bytes(process: Sidecar) -> int:
    """Of a process that has started all its parts; metrics are the last."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            metrics(process, "moorline_store_up")
        except OSError:
            time.sleep(POLL_SECONDS)
        else:
            break
    return resident_bytes(process.pid)


def _per_session(process: Sidecar, population: Sequence[Member]) -> Row:
    idle = idle_bytes(process)
    say(f"reading {len(population):,} sessions")
    sizes = sum(len(known.body) for known in read_all(process.url, population))
    taken = resident_bytes(process.pid) - idle
    ratio = taken / sizes
    return Row(
        name="memory-cached",
        what=f"memory of {len(population):,} cached sessions of 1 KB, over an idle process",
        against="the bytes of their answers",
        target=at_most(2.5),
        value=Figure(ratio, ratio, ratio),
        ours=f"{taken / 1e6:.1f} MB over {idle / 1e6:.1f} MB idle",
        theirs=f"{sizes / 1e6:.1f} MB",
    )


def _churn(process: Sidecar, population: Sequence[Member], bound: int) -> Iterator[Row]:
    idle = idle_bytes(process)
    taken: list[float] = []
    accounted: list[float] = []
    say("reading four times what the cache holds, over and over")
    for number in range(PASSES):
        for first in range(0, len(population), STEP):
            read_all(process.url, population[first : first + STEP])
            if number:
                taken.append((resident_bytes(process.pid) - idle) / bound)
                accounted.append(statistics(process)["cachedBytes"] / bound)
    for name, what, values in (
        ("memory-bound", "accounted bytes under churn, at most", accounted),
        ("memory-churn", "real memory over idle under churn, at most", taken),
    ):
        worst = figure(values)
        yield Row(
            name=name,
            what=what,
            against=f"`cache.maxBytes` ({bound / 1e6:.1f} MB)",
            target=at_most(1.05),
            value=Figure(worst.high, worst.low, worst.high),
        )
