"""A cached session read 1,000 times a second: what a pod's sidecar costs when it is used."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from bench.figures import figure, ratio
from bench.load import Sample, client
from bench.processes import resident_bytes
from bench.results import Row, Unit, at_most
from bench.rows.hits import constant_shots, hit_shots
from bench.servers import Server, peer
from bench.settings import Settings
from bench.stage import Series, alternate, costs
from bench.warm import warm_sidecar

SESSIONS: Final = 1_000
RATE: Final = 1_000
CONNECTIONS: Final = 16
LEAST: Final = 0.97
"""Of the rate: with less the client, or the server, was held up by others."""

OURS: Final = "Moorline"
BARE: Final = "bare protocol"

DAPR: Final = "Dapr's state API, as published, on a missing key: "


def measure(settings: Settings) -> Iterator[Row]:
    with (
        warm_sidecar(settings, "paced", SESSIONS) as warm,
        peer(settings, "bare_protocol", warm.known[0].body) as bare,
    ):
        contenders = {
            OURS: partial(_paced, settings, warm.sidecar, hit_shots(settings, warm.known)),
            BARE: partial(_paced, settings, bare, constant_shots(settings, warm.known)),
        }
        series = alternate(settings, contenders)
        memory = resident_bytes(warm.sidecar.pid) / 1e6
    yield from _rows(series, memory)


def _paced(settings: Settings, server: Server, shots: Path) -> Sample:
    return client(
        settings, server, "paced", server.port, shots,
        seconds=2 * settings.seconds, options=(RATE, CONNECTIONS),
    )  # fmt: skip


def _rows(series: Series, memory: float) -> Iterator[Row]:
    samples, bare = series[OURS], series[BARE]
    reached = figure([sample.rate for sample in samples]).median
    note = "" if reached >= LEAST * RATE else f"only {reached:,.0f} a second could be asked for"
    floor = figure([sample.busy * 1e3 for sample in bare])
    what = "L1-hit `GET` at 1,000/s, 16 connections"
    cases = (
        ("p50", "0.73 ms", at_most(0.25, Unit.MILLISECONDS), [s.p50_us / 1e3 for s in samples]),
        ("p99", "1.97 ms", at_most(1, Unit.MILLISECONDS), [s.p99_us / 1e3 for s in samples]),
        ("cpu", "57 mCPU", at_most(25, Unit.MILLICORES), [s.busy * 1e3 for s in samples]),
        ("memory", "48 MB", at_most(64, Unit.MEGABYTES), [memory]),
    )
    for name, theirs, target, values in cases:
        is_cpu = name == "cpu"
        yield Row(
            name=f"paced-{name}",
            what=f"{what}: {name}",
            against=DAPR + theirs,
            target=target,
            value=figure(values),
            theirs=f"a bare protocol, constant bytes: {floor.median:.1f} mCPU" if is_cpu else "",
            cost=ratio(costs(bare), costs(samples)) if is_cpu else None,
            note=note,
        )
