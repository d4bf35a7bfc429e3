"""One connection: a unix socket beside TCP."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from bench.figures import figure, ratio
from bench.load import load
from bench.results import Row, at_most
from bench.rows.hits import hit_shots
from bench.settings import Settings
from bench.stage import alternate, costs
from bench.warm import warm_sidecar

SESSIONS = 1_000


def measure(settings: Settings) -> Iterator[Row]:
    with warm_sidecar(settings, "sockets", SESSIONS) as warm:
        shots = hit_shots(settings, warm.known)
        turns = partial(
            load, settings, warm.sidecar, shots, connections=1, seconds=settings.seconds / 2
        )
        series = alternate(
            settings,
            {
                "unix": partial(turns, address=str(warm.sidecar.socket)),
                "tcp": turns,
            },
        )
    ours, theirs = ([sample.p50_us for sample in series[name]] for name in ("unix", "tcp"))
    yield Row(
        name="hit-unix-p50",
        what="L1-hit `GET`, one connection, unix socket: p50",
        against="the same over TCP",
        target=at_most(1.0),
        value=ratio(ours, theirs),
        ours=f"p50 {figure(ours).median / 1e3:.3f} ms",
        theirs=f"p50 {figure(theirs).median / 1e3:.3f} ms",
        cost=ratio(costs(series["tcp"]), costs(series["unix"])),
    )
