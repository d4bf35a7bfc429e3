"""Loads from the store, beside the driver used by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from moorline_sidecar.domain.ids import hashed_key

from bench.comparing import OURS, rate_row
from bench.errors import BenchError
from bench.gauges import reads, share
from bench.load import by_hand, load
from bench.reading import Known
from bench.results import Row, at_least
from bench.rows.hits import hit_shots
from bench.settings import Settings
from bench.stage import alternate
from bench.warm import Warm, warm_sidecar

SESSIONS: Final = 10_000
QUICK_SESSIONS: Final = 5_000
CACHED: Final = 50
"""So few that nearly every read is of a session that is not there."""

LEAST_MISSES: Final = 0.97
BY_HAND: Final = "pymongo by hand"
TARGETS: Final = {1: 0.9, 64: 1.5}

SPEC: Final = {
    "cache": {"maxSessions": CACHED},
    # Longer than the row takes: the other side writes no times either.
    "sessions": {"touchPeriod": "10m"},
}


def measure(settings: Settings) -> Iterator[Row]:
    sessions = settings.sized(SESSIONS, QUICK_SESSIONS)
    with warm_sidecar(settings, "misses", sessions, SPEC) as warm:
        for concurrency, target in TARGETS.items():
            yield _row(settings, warm, concurrency, target)


def _row(settings: Settings, warm: Warm, concurrency: int, target: float) -> Row:
    shots, calls = hit_shots(settings, warm.known), finds(settings, warm.known)
    seconds, target_store = settings.seconds, (warm.uri, "sessions")
    asking = partial(load, settings, warm.sidecar, shots, connections=concurrency, seconds=seconds)
    finding = partial(
        by_hand, settings, target_store, calls, concurrency=concurrency, seconds=seconds
    )
    before = reads(warm.sidecar)
    series = alternate(settings, {OURS: asking, BY_HAND: finding})
    missed = share("miss", before, reads(warm.sidecar))
    if missed < LEAST_MISSES:
        raise BenchError(f"only {missed:.0%} of the reads were misses")
    against = f"`AsyncMongoClient.find_one` by `_id`, {concurrency} at once"
    what = f"miss, {concurrency} at once"
    return rate_row(f"miss-{concurrency}", (what, against), at_least(target), series, BY_HAND)


def finds(settings: Settings, known: Sequence[Known]) -> Path:
    """The keys of the same sessions, to be found by hand."""
    file = settings.folder / "finds.jsonl"
    lines = (json.dumps([hashed_key(session.id), None]) for session in known)
    file.write_text("\n".join(lines), encoding="ascii")
    return file
