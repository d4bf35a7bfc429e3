"""What a request costs while something grows by powers of ten."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

from bench.figures import Figure, figure
from bench.load import Sample, ask_each, load
from bench.population import Member, aged, drawn_attributes, drawn_id, members, store_all
from bench.processes import resident_bytes
from bench.reading import Known, read_all
from bench.results import Curve, Row, Unit, at_most
from bench.rows.hits import hit_shots
from bench.rows.memory import idle_bytes
from bench.rows.touches import TOUCH_PERIOD_MS
from bench.servers import WORKER, Sidecar, sidecar, store
from bench.settings import Settings
from bench.stage import Found, alternate, chance_of, costs, say

MOST_CACHED: Final = 100_000
ROUNDS: Final = 3
CONNECTIONS: Final = 16
FEW: Final = 50
"""Sessions where their number is not what grows."""

ATTRIBUTE_BYTES: Final = 16_384
"""Of all attributes together, while their number grows."""

SPACIOUS: Final[dict[str, Any]] = {"cache": {"maxSessions": 2 * MOST_CACHED, "maxBytes": "2Gi"}}
CRAMPED: Final[dict[str, Any]] = {
    "cache": {"maxSessions": 10},
    "sessions": {"touchPeriod": "10m"},
}
Point: TypeAlias = tuple[float, list[Sample]]


def measure(settings: Settings) -> Iterator[Found]:
    yield from _sessions(settings)
    yield from _shapes(settings)


def _sessions(settings: Settings) -> Iterator[Found]:
    """Sessions in the cache of one worker, and in the store behind the small cache of another."""
    chance = chance_of(settings, "growth")
    # As after an hour: sessions that were all accessed at once would all be touched at once.
    accessed = aged(TOUCH_PERIOD_MS)
    hits: list[Point] = []
    misses: list[Point] = []
    memory: list[tuple[float, Figure]] = []
    known: list[Known] = []
    with (
        store(settings) as database,
        sidecar(settings, database.uri, spec=SPACIOUS) as spacious,
        sidecar(settings, database.uri, spec=CRAMPED, worker="node2") as cramped,
    ):
        idle, stored = idle_bytes(spacious), 0
        for count in _counts(settings):
            say(f"storing and reading {count:,} sessions")
            fresh = (accessed(member, chance) for member in members(count - stored, chance))
            more = list(fresh) if count <= MOST_CACHED else []
            stored += store_all(database.uri, "sessions", more or fresh, WORKER)
            if more:
                known += read_all(spacious.url, more)
                hits.append((count, _reads(settings, spacious, known)))
                sizes = sum(len(each.body) for each in known)
                taken = (resident_bytes(spacious.pid) - idle) / sizes
                memory.append((count, Figure(taken, taken, taken)))
            misses.append((count, _reads(settings, cramped, known)))
        by_connections = _connections(settings, spacious, known[:FEW])
    yield from _curves("L1 hit", "cached sessions", hits)
    yield from _curves("miss", "stored sessions", misses)
    yield Curve(
        what="memory over idle", quantity="cached sessions",
        unit="bytes for each byte of the answers", points=memory,
    )  # fmt: skip
    yield from _curves("L1 hit", "connections", by_connections)
    yield _flatness("growth-cached", "cost of a hit", "cached sessions", hits)
    yield _flatness("growth-stored", "cost of a miss", "stored sessions", misses)


def _counts(settings: Settings) -> Sequence[int]:
    if settings.is_quick:
        return 500, 2_000
    counts = [1_000, 10_000, MOST_CACHED]
    return [*counts, 1_000_000] if settings.is_long else counts


def _connections(settings: Settings, process: Sidecar, known: Sequence[Known]) -> list[Point]:
    counts = (1, 16, 256) if settings.is_quick else (1, 4, 16, 64, 256, 1_024)
    return [(count, _reads(settings, process, known, connections=count)) for count in counts]


def _shapes(settings: Settings) -> Iterator[Curve]:
    """Sizes of sessions, and numbers of their attributes."""
    chance = chance_of(settings, "shapes")
    sizes = (100, 10_000) if settings.is_quick else (100, 1_000, 10_000, 100_000, 900_000)
    counts = (1, 100) if settings.is_quick else (1, 10, 100, 1_000)
    with store(settings) as database, sidecar(settings, database.uri, spec=SPACIOUS) as process:

        def reads(population: Sequence[Member]) -> list[Sample]:
            store_all(database.uri, "sessions", population, WORKER)
            return _reads(settings, process, read_all(process.url, population))

        by_size = [(size, reads(_sized(chance, size))) for size in sizes]
        by_count = [(count, reads(_divided(chance, count))) for count in counts]
    yield from _curves("L1 hit", "bytes of attributes", by_size)
    yield from _curves("L1 hit of 16 KB", "attributes", by_count)


def _sized(chance: random.Random, size: int) -> list[Member]:
    return [Member(drawn_id(chance), drawn_attributes(chance, size)) for _ in range(FEW)]


def _divided(chance: random.Random, count: int) -> list[Member]:
    """So many attributes, of the same size together."""
    length = ATTRIBUTE_BYTES // count // 2
    return [
        Member(
            drawn_id(chance),
            {
                f"a{number}": chance.randbytes(length).hex()[: 2 * length - 9]
                for number in range(count)
            },
        )
        for _ in range(FEW)
    ]


def _reads(
    settings: Settings, process: Sidecar, known: Sequence[Known], connections: int = CONNECTIONS
) -> list[Sample]:
    """Loads after each session was asked for once: what the load asks for has been asked before."""
    shots = hit_shots(settings, known, "growth")
    ask_each(settings, process, shots, connections=connections)
    reading = partial(
        load, settings, process, shots,
        connections=connections, seconds=max(1, settings.seconds / 2),
    )  # fmt: skip
    rounds = 1 if settings.is_quick else ROUNDS
    name = f"{len(known):,} sessions, {connections:,} connections"
    return list(alternate(settings, {name: reading}, rounds)[name])


def _curves(what: str, quantity: str, points: Sequence[Point]) -> Iterator[Curve]:
    """The cost of a request, and its latency."""
    by_cost = [(at, figure(costs(samples))) for at, samples in points]
    by_time = [(at, figure([each.p50_us / 1e3 for each in samples])) for at, samples in points]
    yield Curve(what=what, quantity=quantity, unit="µs CPU a request", points=by_cost)
    yield Curve(what=what, quantity=quantity, unit="ms, p50", points=by_time)


def _flatness(name: str, what: str, quantity: str, points: Sequence[Point]) -> Row:
    """How far the cost goes from where it begins."""
    spent = [(at, figure(costs(samples)).median) for at, samples in points]
    off = max(abs(cost / spent[0][1] - 1) for _, cost in spent) * 100
    return Row(
        name=name,
        what=f"{what} while {quantity} go from {spent[0][0]:,.0f} to {spent[-1][0]:,.0f}",
        against="its cost at first",
        target=at_most(10, Unit.PERCENT),
        value=Figure(off, off, off),
        ours=", ".join(f"{cost:.0f} µs at {at:,.0f}" for at, cost in spent),
    )
