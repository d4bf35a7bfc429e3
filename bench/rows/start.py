"""From the start of a process to readiness, which every pod waits for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from bench.figures import figure
from bench.results import Row, Unit, at_most
from bench.servers import sidecar, store
from bench.settings import Settings
from bench.stage import say

STARTS: Final = 9
QUICK_STARTS: Final = 4


def measure(settings: Settings) -> Iterator[Row]:
    taken: list[float] = []
    with store(settings) as database:
        for number in range(settings.sized(STARTS, QUICK_STARTS)):
            say(f"start {number + 1}")
            begun = time.monotonic()
            with sidecar(settings, database.uri):
                taken.append(time.monotonic() - begun)
    yield Row(
        name="start",
        what="process start to ready, store up",
        against="",
        target=at_most(0.7, Unit.SECONDS),
        # The first start reads its files from the disk, and writes the bytecode.
        value=figure(taken[1:]),
        ours=f"the first {taken[0]:.2f} s",
    )
