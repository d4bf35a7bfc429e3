"""S3-FIFO is there for its hit ratio: on no trace of ours it may be worse than LRU."""

import random
from collections.abc import Iterable

import pytest
from moorline_sidecar.cache.l1 import L1

from bench.policies import lru_hits
from bench.traces import shop
from tests.sidecar.cache.entries import an_entry

KEYS = 1_000
REQUESTS = 10_000
ENTRIES = {f"k{n}": an_entry(f"k{n}") for n in range(KEYS)}


def hits_of_l1(trace: Iterable[str], most: int) -> int:
    l1 = L1(most, 1 << 40)
    hits = 0
    for key in trace:
        if l1.get(key) is not None:
            hits += 1
        else:
            entry = ENTRIES.get(key) or an_entry(key)
            entry.times.frequency = 0
            l1.put(entry)
    return hits


def zipf(skew: float, seed: int = 1) -> list[str]:
    weights = [1 / rank**skew for rank in range(1, KEYS + 1)]
    return random.Random(seed).choices(list(ENTRIES), weights, k=REQUESTS)


def with_scan(trace: list[str]) -> list[str]:
    """In the middle somebody walks through what nobody asks for again."""
    middle = len(trace) // 2
    return [*trace[:middle], *(f"scan-{n}" for n in range(300)), *trace[middle:]]


@pytest.mark.parametrize("most", [20, 100, 300])
@pytest.mark.parametrize("skew", [0.8, 1.0, 1.2])
def test_the_hit_ratio_on_a_zipf_trace_is_at_least_that_of_lru(skew: float, most: int) -> None:
    trace = zipf(skew)

    assert hits_of_l1(trace, most) >= lru_hits(trace, most)


def test_a_scan_does_not_wash_out_what_is_used() -> None:
    trace = with_scan(zipf(1.0))

    assert hits_of_l1(trace, 100) > 1.05 * lru_hits(trace, 100)


@pytest.mark.parametrize("seed", range(3))
def test_visits_that_end_are_not_kept_for_what_they_were(seed: int) -> None:
    # About half as many visitors again as there is room for.
    trace = [f"v{n}" for n in shop(random.Random(seed), 100_000, 1_500)]

    assert hits_of_l1(trace, 1_000) >= lru_hits(trace, 1_000)


def test_what_fits_is_all_hits_but_the_first() -> None:
    trace = zipf(1.0)

    assert hits_of_l1(trace, KEYS) == len(trace) - len(set(trace))
