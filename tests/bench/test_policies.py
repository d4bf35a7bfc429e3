import random
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest

from bench import traces
from bench.policies import lru_hits, optimal_hits, tiny_lfu_hits
from bench.rows.evictions import l1_hits

Hits = Callable[[Sequence[int], int], int]

DRAWN = traces.zipf(random.Random(1), 5_000, 1_000, 1.0)
CAPACITY = 100


def test_lru_evicts_what_was_used_longest_ago() -> None:
    assert lru_hits([1, 2, 1, 3, 1, 2], 2) == 2


def test_the_optimum_evicts_what_is_used_again_last() -> None:
    # 3 goes in for 2, which comes back after 1 only.
    assert optimal_hits([1, 2, 3, 1, 2], 2) == 2


def test_the_optimum_keeps_a_part_of_a_loop_that_lru_misses_altogether() -> None:
    loop = list(range(4)) * 10

    assert lru_hits(loop, 3) == 0
    assert optimal_hits(loop, 3) > len(loop) // 2


@pytest.mark.parametrize("hits", [lru_hits, tiny_lfu_hits, l1_hits])
def test_nothing_is_better_than_the_optimum(hits: Hits) -> None:
    assert 0 < hits(DRAWN, CAPACITY) <= optimal_hits(DRAWN, CAPACITY)


def test_tiny_lfu_is_better_than_lru_where_favourites_stay() -> None:
    assert tiny_lfu_hits(DRAWN, CAPACITY) > lru_hits(DRAWN, CAPACITY)


@pytest.mark.parametrize("hits", [lru_hits, tiny_lfu_hits, l1_hits, optimal_hits])
def test_what_fits_is_missed_once(hits: Hits) -> None:
    trace = [1, 2, 3] * 20

    assert hits(trace, 100) == len(trace) - 3


def test_zipf_draws_the_first_most_often() -> None:
    counts = [DRAWN.count(key) for key in (0, 10, 100)]

    assert all(more > less for more, less in pairwise(counts))


def test_traces_are_as_long_as_asked_for_and_the_same_again() -> None:
    for draw in (traces.shop, traces.scanned, traces.shifting):
        once, again = (draw(random.Random(5), 1_001, 400) for _ in range(2))

        assert len(once) == 1_001
        assert once == again
