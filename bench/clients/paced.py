"""Requests at a fixed rate over several connections: `python -m bench.clients.paced …`.

A request that is due while all connections are busy waits for one, and its wait counts: a slow
server is not asked less. Prints what it saw as JSON (`bench.load.Work`).
"""

from __future__ import annotations

import random
import select
import sys
import time
from collections import deque
from pathlib import Path
from typing import Final

from bench.clients.connection import Connection
from bench.clients.telling import tell
from bench.shots import Shot, read_shots

LEAD_NS: Final = 200_000
"""Before a request is due it is waited for actively: timers of the system are late by this much."""


class Pace:
    """The connections, and the latencies of what went over them."""

    def __init__(self, connections: list[Connection]) -> None:
        self._idle = deque(connections)
        self._busy: dict[int, tuple[Connection, int]] = {}
        self.latencies: list[int] = []
        self._held_up_until = 0

    def offer(self, shot: Shot, request: bytes, due_ns: int) -> bool:
        """Send, if a connection is free."""
        if not self._idle:
            return False
        connection = self._idle.popleft()
        # The client's own delay is not the server's, unless it was the server that held it up.
        begun = due_ns if due_ns < self._held_up_until else time.perf_counter_ns()
        self._busy[connection.fileno()] = connection, begun
        connection.send(shot, request)
        return True

    def receive(self, wait_seconds: float) -> None:
        """Take the answers that have come, or come in that time."""
        ready, _, _ = select.select(list(self._busy), [], [], wait_seconds)
        for number in ready:
            connection, begun = self._busy[number]
            if connection.receive():
                now = time.perf_counter_ns()
                self.latencies.append(now - begun)
                if not self._idle:
                    self._held_up_until = now
                del self._busy[number]
                self._idle.append(connection)

    @property
    def is_quiet(self) -> bool:
        return not self._busy


def main(  # noqa: PLR0913, PLR0917 the arguments of a command
    address: str, file: str, seed: str, seconds: str, status: str, rate: str, connections: str
) -> None:
    chance = random.Random(seed)  # noqa: S311 - it protects nothing
    shots = [(shot, shot.request()) for shot in read_shots(Path(file))]
    pace = Pace([Connection(address, int(status)) for _ in range(int(connections))])
    gap = int(1e9 / float(rate))
    started = time.perf_counter_ns()
    due, end = started, started + int(float(seconds) * 1e9)
    while due < end:
        left = due - time.perf_counter_ns()
        if left > 0:
            pace.receive(max(left - LEAD_NS, 0) / 1e9)
        elif pace.offer(*chance.choice(shots), due):
            due += gap
        else:
            pace.receive(1.0)
    while not pace.is_quiet:
        pace.receive(1.0)
    tell(pace.latencies, time.perf_counter_ns() - started)


if __name__ == "__main__":
    main(*sys.argv[1:])
