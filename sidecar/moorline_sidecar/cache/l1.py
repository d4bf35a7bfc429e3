"""The L1: a bounded map of sessions, evicting by recency and frequency.

The policy is S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023):
a small queue that one-hit wonders leave quickly, a main queue whose members get another round if
they were hit in the last one, and a ghost queue of keys that come back into main. A hit costs one
increment at most, no reordering; each eviction is O(1) amortized. Bounded by count and by bytes at
once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from moorline_sidecar.cache.entry import Entry
from moorline_sidecar.cache.queue import Queue
from moorline_sidecar.domain.session import Tombstone
from moorline_sidecar.hot import Names

SMALL_SHARE: Final = 0.1
"""The share of the small queue, as in the paper."""

PASSED_OVER_MAX: Final = 64
"""Unsaved entries that one eviction looks at: they are few, or the next save makes room."""

FREQUENCY_MAX: Final = 2
"""Hits that let an entry stay: two in small, one in main. The paper has main count to three, for as
many more rounds; but a visit ends, and they would only keep the dead in."""


class L1:
    """Sessions by key; `max_sessions` and `max_bytes` hold for all that is saved.

    Entries with unsaved changes are passed over by eviction, and bounded elsewhere.
    """

    def __init__(self, max_sessions: int, max_bytes: int) -> None:
        self.max_sessions = max_sessions
        self.max_bytes = max_bytes
        self.bytes = 0
        self.evictions = 0
        self.high_water = 0
        self.added = 0
        self._entries: dict[str, Entry] = {}
        self._ended: set[str] = set()
        """Keys whose entries are tombstones."""
        self.names = Names()
        """Of answers that its entries hold; to be found is not counted as a use."""
        self._small = Queue()
        self._main = Queue()
        self._small_bytes = 0
        # By their hashes, and as many as there are entries, which account for them. A dict would
        # find its first key past all that were deleted before, in quadratic time.
        self._ghost: OrderedDict[int, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def sessions(self) -> int:
        """How many entries are sessions that have not ended."""
        return len(self._entries) - len(self._ended)

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))

    def get(self, key: str) -> Entry | None:
        """The entry, counted as a use."""
        entry = self._entries.get(key)
        if entry is not None and entry.times.frequency < FREQUENCY_MAX:
            entry.times.frequency += 1
        return entry

    def peek(self, key: str) -> Entry | None:
        """The entry, without counting."""
        return self._entries.get(key)

    def put(self, entry: Entry) -> None:
        """Add or replace the entry of its key, then evict what is over the bounds."""
        self.drop(entry.key)
        self._entries[entry.key] = entry
        self.bytes += entry.size
        if isinstance(entry.record, Tombstone):
            self._ended.add(entry.key)
        else:
            self.added += 1
        mark = hash(entry.key)
        entry.is_in_main = mark in self._ghost
        if entry.is_in_main:
            del self._ghost[mark]
            self._main.append(entry)
        else:
            self._small.append(entry)
            self._small_bytes += entry.size
        self.evict()
        self.high_water = max(self.high_water, self.sessions)

    def resized(self, entry: Entry, size_before: int) -> None:
        """Account for an entry that holds another record now."""
        if self._entries.get(entry.key) is not entry:
            return
        self.bytes += entry.size - size_before
        if not entry.is_in_main:
            self._small_bytes += entry.size - size_before
        if isinstance(entry.record, Tombstone):  # from which nothing comes back
            self._ended.add(entry.key)
        self.evict()

    def resize(self, max_sessions: int, max_bytes: int) -> None:
        """Go by other bounds; all that is over smaller ones is evicted at once."""
        self.max_sessions = max_sessions
        self.max_bytes = max_bytes
        self.evict()

    def drop(self, key: str) -> Entry | None:
        """Forget the entry of `key`, saved or not."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._ended.discard(key)
            self._leave_queue(entry)
            self.bytes -= entry.size
            entry.forget_answers()
        return entry

    def evict(self) -> None:
        """Drop entries until the bounds hold, or only unsaved ones are found."""
        passed_over: list[Entry] = []
        while self.is_over and len(passed_over) < PASSED_OVER_MAX:
            entry = self._next_candidate()
            if entry is None:
                break
            if entry.is_evictable:
                self._remember_ghost(entry)
                self.drop(entry.key)
                self.evictions += 1
            else:
                self._leave_queue(entry)
                passed_over.append(entry)
        for entry in passed_over:
            entry.is_in_main = True
            self._main.append(entry)

    @property
    def is_over(self) -> bool:
        """Whether a bound does not hold, because what is unsaved cannot be evicted."""
        return len(self._entries) > self.max_sessions or self.bytes > self.max_bytes

    def _next_candidate(self) -> Entry | None:
        """The entry to evict: from small while it is over its share, else from main."""
        while True:
            from_small = not self._main or self._small_is_over()
            queue = self._small if from_small and self._small else self._main
            entry = queue.first
            if entry is None or entry.times.frequency == 0:
                return entry
            if queue is self._small and entry.times.frequency == 1:
                return entry
            self._promote(entry)

    def _small_is_over(self) -> bool:
        return (
            len(self._small) > SMALL_SHARE * self.max_sessions
            or self._small_bytes > SMALL_SHARE * self.max_bytes
        )

    def _promote(self, entry: Entry) -> None:
        """Another round in main, which begins without credit."""
        self._leave_queue(entry)
        entry.times.frequency = 0
        entry.is_in_main = True
        self._main.append(entry)

    def _leave_queue(self, entry: Entry) -> None:
        if entry.is_in_main:
            self._main.remove(entry)
        else:
            self._small.remove(entry)
            self._small_bytes -= entry.size

    def _remember_ghost(self, entry: Entry) -> None:
        if entry.is_in_main:
            return
        self._ghost[hash(entry.key)] = None
        while len(self._ghost) > len(self._entries):
            self._ghost.popitem(last=False)
