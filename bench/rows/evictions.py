"""The hit ratio of the L1, beside LRU, W-TinyLFU and the optimum, on the same traces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from moorline_sidecar.cache.entry import Entry
from moorline_sidecar.cache.l1 import L1
from moorline_sidecar.domain.session import Reason, Tombstone
from moorline_sidecar.hot import Times

from bench import traces
from bench.figures import Figure
from bench.policies import lru_hits, optimal_hits, tiny_lfu_hits
from bench.results import Row, Target, Unit
from bench.settings import Settings
from bench.stage import chance_of, say

LENGTH: Final = 200_000
QUICK_LENGTH: Final = 40_000
KEYS: Final = 20_000
CAPACITY: Final = 1_000
GAIN_SHARE: Final = 0.5
"""Of what W-TinyLFU is better than LRU."""


def measure(settings: Settings) -> Iterator[Row]:
    length = settings.sized(LENGTH, QUICK_LENGTH)
    chance = chance_of(settings, "evictions")
    drawn = {
        "zipf-0.8": ("Zipf 0.8", traces.zipf(chance, length, KEYS, 0.8)),
        "zipf-1.0": ("Zipf 1.0", traces.zipf(chance, length, KEYS, 1.0)),
        "shop": ("visits and robots", traces.shop(chance, length, CAPACITY * 3 // 2)),
        "scanned": ("Zipf 0.9 with a crawler", traces.scanned(chance, length, KEYS)),
        "shifting": ("Zipf 1.0 whose favourites change", traces.shifting(chance, length, KEYS)),
    }
    for name, (what, trace) in drawn.items():
        say(what)
        yield _row(name, what, trace)


def _row(name: str, what: str, trace: Sequence[int]) -> Row:
    ours, lru, tiny, best = (
        100 * hits(trace, CAPACITY) / len(trace)
        for hits in (l1_hits, lru_hits, tiny_lfu_hits, optimal_hits)
    )
    return Row(
        name=f"evict-{name}",
        what=f"eviction, hit ratio on {what}",
        against="LRU, and half of what W-TinyLFU gains over it",
        target=Target(lru + GAIN_SHARE * max(0.0, tiny - lru), Unit.PERCENT),
        value=Figure(ours, ours, ours),
        theirs=f"LRU {lru:.1f} %, W-TinyLFU {tiny:.1f} %, the optimum {best:.1f} %",
    )


def l1_hits(trace: Sequence[int], capacity: int) -> int:
    """Hits of the sidecar's own cache, filled on each miss."""
    cache = L1(capacity, 1 << 40)
    hits = 0
    for number in trace:
        key = str(number)
        if cache.get(key) is None:
            cache.put(_entry(key))
        else:
            hits += 1
    return hits


def _entry(key: str) -> Entry:
    """The smallest record there is: what it holds does not matter here."""
    record = Tombstone(
        key=key, version=1, created=0, accessed=0, invalidated=0, reason=Reason.LOGOUT
    )
    times = Times(
        own_accessed=0,
        own_expiry=None,
        stored_accessed=0,
        stored_expiry=None,
        stored_node="",
        deadline=None,
        max_idle_ms=0,
    )
    return Entry(record, times, 0)
