"""How long calls of the store took, as plain numbers.

A histogram of OpenTelemetry takes 10 µs for each, and five times that where calls are so seldom
that its code is cold: a tenth of what it costs to load one session. Here one is a look-up and three
additions; `telemetry.histograms` shows them when somebody asks.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from threading import Lock
from typing import Final

from moorline_sidecar.telemetry.instruments import STORE_CALL_BUCKETS

BUCKETS: Final = len(STORE_CALL_BUCKETS) + 1
"""A bucket holds what takes as long as its bound, too; the last one all that takes longer."""


@dataclass(slots=True)
class Tally:
    """Calls of one kind: how many in each bucket, seconds in all, the shortest and the longest.

    `began_at` is when the first was recorded, in nanoseconds since 1970.
    """

    attributes: Mapping[str, str]
    began_at: int
    counts: list[int] = field(default_factory=lambda: [0] * BUCKETS)
    seconds: float = 0.0
    shortest: float = inf
    longest: float = -inf


class StoreCalls:
    """A tally for each operation and class of error, of a store of this `system` (`mongodb`).

    Recorded by the event loop, read by the threads that show it.
    """

    def __init__(self, system: str) -> None:
        self._system = system
        self._tallies: dict[tuple[str, str | None], Tally] = {}
        self._lock = Lock()

    def record(self, operation: str, seconds: float, error: str | None = None) -> None:
        """One call: `operation` as in `load`, `error` a class's name."""
        with self._lock:
            tally = self._tallies.get((operation, error))
            if tally is None:
                tally = self._tallies[operation, error] = self._begin(operation, error)
            tally.counts[bisect_left(STORE_CALL_BUCKETS, seconds)] += 1
            tally.seconds += seconds
            tally.shortest = min(tally.shortest, seconds)
            tally.longest = max(tally.longest, seconds)

    def tallies(self, *, restarts_extremes: bool = False) -> Sequence[Tally]:
        """Copies, those first that began first.

        Counts and seconds are since the start; so are the shortest and the longest, unless the
        last who read them let them start again.
        """
        with self._lock:
            copies = [replace(tally, counts=list(tally.counts)) for tally in self._tallies.values()]
            if restarts_extremes:
                for tally in self._tallies.values():
                    tally.shortest, tally.longest = inf, -inf
        return copies

    def _begin(self, operation: str, error: str | None) -> Tally:
        attributes = {"db.system.name": self._system, "db.operation.name": operation}
        if error is not None:
            attributes["error.type"] = error
        return Tally(attributes, time.time_ns())
