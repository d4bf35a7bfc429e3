"""Eviction policies to compare with: LRU, W-TinyLFU and the optimum, as counters of hits."""

from __future__ import annotations

import heapq
from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterable, Sequence
from typing import Final

NEVER: Final = 1 << 60
WINDOW_SHARE: Final = 0.01
PROTECTED_SHARE: Final = 0.8
FREQUENCY_MAX: Final = 15
SAMPLE_FACTOR: Final = 10
"""Accesses per place after which frequencies are halved."""


def lru_hits(trace: Iterable[Hashable], capacity: int) -> int:
    cached: OrderedDict[Hashable, None] = OrderedDict()
    hits = 0
    for key in trace:
        if key in cached:
            hits += 1
            cached.move_to_end(key)
        else:
            cached[key] = None
            if len(cached) > capacity:
                cached.popitem(last=False)
    return hits


def optimal_hits(trace: Sequence[int], capacity: int) -> int:
    """Evicts what is used again last (Belady, "A study of replacement algorithms", 1966)."""
    nexts = [NEVER] * len(trace)
    seen: dict[int, int] = {}
    for at in range(len(trace) - 1, -1, -1):
        nexts[at] = seen.get(trace[at], NEVER)
        seen[trace[at]] = at
    cached: dict[int, int] = {}
    farthest: list[tuple[int, int]] = []
    hits = 0
    for at, key in enumerate(trace):
        hits += key in cached
        cached[key] = nexts[at]
        heapq.heappush(farthest, (-nexts[at], key))
        while len(cached) > capacity:
            # What was used since has another entry, further down.
            after, candidate = heapq.heappop(farthest)
            if cached.get(candidate) == -after:
                del cached[candidate]
    return hits


def tiny_lfu_hits(trace: Sequence[int], capacity: int) -> int:
    cache = TinyLfu(capacity)
    return sum(cache.access(key) for key in trace)


class TinyLfu:
    """W-TinyLFU (Einziger, Friedman, Manes, "TinyLFU", ACM TOS 2017) with its usual shares.

    Frequencies are counted exactly, where the paper's sketch estimates them: all the better.
    """

    def __init__(self, capacity: int) -> None:
        self._window_size = max(1, round(WINDOW_SHARE * capacity))
        self._main_size = capacity - self._window_size
        self._protected_size = round(PROTECTED_SHARE * self._main_size)
        self._sample = SAMPLE_FACTOR * capacity
        self._window: OrderedDict[int, None] = OrderedDict()
        self._probation: OrderedDict[int, None] = OrderedDict()
        self._protected: OrderedDict[int, None] = OrderedDict()
        self._frequency: Counter[int] = Counter()
        self._counted = 0

    def access(self, key: int) -> bool:
        """Use a key; whether it was there."""
        self._count(key)
        if key in self._window:
            self._window.move_to_end(key)
        elif key in self._protected:
            self._protected.move_to_end(key)
        elif key in self._probation:
            self._protect(key)
        else:
            self._admit(key)
            return False
        return True

    def _count(self, key: int) -> None:
        self._frequency[key] = min(self._frequency[key] + 1, FREQUENCY_MAX)
        self._counted += 1
        if self._counted >= self._sample:
            halved = {each: count // 2 for each, count in self._frequency.items() if count > 1}
            self._frequency = Counter(halved)
            self._counted //= 2

    def _protect(self, key: int) -> None:
        del self._probation[key]
        self._protected[key] = None
        if len(self._protected) > self._protected_size:
            demoted, _ = self._protected.popitem(last=False)
            self._probation[demoted] = None

    def _admit(self, key: int) -> None:
        """Into the window; what leaves it has to be used more than what it would replace."""
        self._window[key] = None
        if len(self._window) <= self._window_size:
            return
        candidate, _ = self._window.popitem(last=False)
        if len(self._probation) + len(self._protected) >= self._main_size:
            victims = self._probation or self._protected
            victim = next(iter(victims))
            if self._frequency[candidate] <= self._frequency[victim]:
                return
            del victims[victim]
        self._probation[candidate] = None
