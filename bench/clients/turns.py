"""One connection, one request after the other: `python -m bench.clients.turns …`.

Where wrk cannot go: over a unix socket. Prints what it saw as JSON (`bench.load.Work`).
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

from bench.clients.connection import Connection
from bench.clients.telling import tell
from bench.shots import read_shots


def main(address: str, file: str, seed: str, seconds: str, status: str) -> None:
    chance = random.Random(seed)  # noqa: S311 - it protects nothing
    shots = [(shot, shot.request()) for shot in read_shots(Path(file))]
    connection = Connection(address, int(status))
    latencies: list[int] = []
    started = time.perf_counter_ns()
    end = started + int(float(seconds) * 1e9)
    while (begun := time.perf_counter_ns()) < end:
        shot, request = chance.choice(shots)
        sent = time.perf_counter_ns()
        connection.send(shot, request)
        while not connection.receive():
            pass
        latencies.append(time.perf_counter_ns() - sent)
    tell(latencies, begun - started)


if __name__ == "__main__":
    main(*sys.argv[1:])
