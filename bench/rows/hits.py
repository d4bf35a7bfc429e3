"""Reads of cached sessions, against Redis and against what Python can do at all."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from bench.comparing import OURS, rate_row
from bench.errors import BenchError
from bench.figures import figure, ratio
from bench.gauges import reads, share
from bench.load import Protocol, Sample, load
from bench.processes import HOST
from bench.reading import Known
from bench.results import Row, at_least, at_most
from bench.servers import Server, Sidecar, peer, redis
from bench.settings import Settings
from bench.shots import Shot, hint_header, write_shots
from bench.stage import Series, alternate
from bench.warm import warm_sidecar

CONNECTIONS: Final = 16
SESSIONS: Final = 5_000
QUICK_SESSIONS: Final = 2_000
REDIS: Final = "Redis"
AIOHTTP: Final = "aiohttp"
BARE: Final = "bare protocol"
REDIS_GET: Final = "Redis `GET` of the same bytes"
HIT: Final = "L1-hit `GET`, 16 keep-alive connections"
REDIS_KEY: Final = "session:{:012d}"
NEARLY_ALL: Final = 0.995
FULL: Final = 0.9
"""Of a core: a server that uses less of it is not at its limit."""


def measure(settings: Settings) -> Iterator[Row]:
    """An L1 hit on 16 keep-alive connections, beside its peers."""
    with warm_sidecar(settings, "hits", settings.sized(SESSIONS, QUICK_SESSIONS)) as warm:
        yield from _against_peers(settings, warm.sidecar, warm.known)


def _against_peers(settings: Settings, ours: Sidecar, known: Sequence[Known]) -> Iterator[Row]:
    body = known[0].body
    with (
        redis(settings) as cached,
        peer(settings, "aiohttp_handler", body) as handler,
        peer(settings, "bare_protocol", body) as bare,
    ):
        fill_redis(cached, known)
        gets = partial(load, settings, connections=CONNECTIONS, seconds=settings.seconds)
        hits, same = hit_shots(settings, known), constant_shots(settings, known)
        contenders: dict[str, Callable[[], Sample]] = {
            OURS: partial(gets, ours, hits),
            REDIS: redis_load(settings, cached, known),
            AIOHTTP: partial(gets, handler, same),
            BARE: partial(gets, bare, same),
        }
        gets(ours, hits, seconds=1)
        before = reads(ours)
        series = alternate(settings, contenders)
        yield from _rows(series, _hit_note(share("hit", before, reads(ours))))


def hit_shots(settings: Settings, known: Sequence[Known], name: str = "hits") -> Path:
    """Reads by id with the current hint."""
    shots = (Shot(f"/v1/sessions/{k.id}", len(k.body), k.id, hint_header(k.hint)) for k in known)
    return write_shots(settings.folder / f"{name}.tsv", shots)


def constant_shots(settings: Settings, known: Sequence[Known]) -> Path:
    """The same requests, to peers that answer all of them with the first session."""
    first = known[0]
    shots = (
        Shot(f"/v1/sessions/{k.id}", len(first.body), first.id, hint_header(k.hint)) for k in known
    )
    return write_shots(settings.folder / "constant.tsv", shots)


def fill_redis(cached: Server, known: Sequence[Known]) -> None:
    """The bytes of each session, under `REDIS_KEY` of its place."""
    with socket.create_connection((HOST, cached.port), 10) as connection:
        answers = connection.makefile("rb")
        for number, session in enumerate(known):
            words = (b"SET", REDIS_KEY.format(number).encode(), session.body)
            parts = [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
            connection.sendall(b"*%d\r\n%s" % (len(parts), b"".join(parts)))
            if answers.readline() != b"+OK\r\n":
                raise BenchError("redis did not take a session")


def redis_load(
    settings: Settings, cached: Server, known: Sequence[Known], name: str = "redis"
) -> Callable[[], Sample]:
    """Reads of what `fill_redis` has stored, by the same client, which looks at the same bytes."""
    shots = write_shots(
        settings.folder / f"{name}.tsv",
        (Shot(REDIS_KEY.format(n), len(k.body), k.id) for n, k in enumerate(known)),
    )
    return partial(
        load, settings, cached, shots,
        connections=CONNECTIONS, seconds=settings.seconds, protocol=Protocol.REDIS,
    )  # fmt: skip


def _rows(series: Series, hit_note: str) -> Iterator[Row]:
    for name, against, least, rival in (
        ("hit-redis", REDIS_GET, 1.0, REDIS),
        ("hit-aiohttp", "bare aiohttp handler, constant bytes", 3.0, AIOHTTP),
        ("hit-bare", "bare `asyncio.Protocol` + httptools + uvloop, constant bytes", 0.8, BARE),
    ):
        row = rate_row(name, (HIT, against), at_least(least), series, rival)
        yield msgspec.structs.replace(row, note=hit_note or limit_note(series, rival))
        if rival == REDIS:
            yield _p99_row(series)


def _p99_row(series: Series) -> Row:
    ours, theirs, limit = (
        [sample.p99_us for sample in series[name]] for name in (OURS, REDIS, BARE)
    )
    return Row(
        name="hit-redis-p99",
        what=f"{HIT}: p99",
        against=REDIS_GET,
        target=at_most(1.0),
        value=ratio(ours, theirs),
        ours=_milliseconds(ours),
        theirs=f"{_milliseconds(theirs)}; a bare protocol, constant bytes: {_milliseconds(limit)}",
    )


def _milliseconds(microseconds: Sequence[float]) -> str:
    return f"{figure(microseconds).median / 1e3:.2f} ms"


def _hit_note(hit: float) -> str:
    """Where the machine keeps the store from answering, copies are asked for again."""
    return "" if hit >= NEARLY_ALL else f"only {hit:.0%} of the reads were hits"


def limit_note(series: Series, rival: str) -> str:
    """A server whose core is not full is held up by something else: its rate is not its limit."""
    busy = {name: figure([each.busy for each in series[name]]).median for name in (OURS, rival)}
    names = {OURS: OURS, rival: "the peer"}
    said = [f"{names[name]} used {part:.0%}" for name, part in busy.items() if part < FULL]
    return f"{' and '.join(said)} of its core only" if said else ""
