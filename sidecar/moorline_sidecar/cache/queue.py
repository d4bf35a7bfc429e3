"""A first-in-first-out queue of entries that any of them may leave."""

from __future__ import annotations

from moorline_sidecar.cache.entry import Entry


class Queue:
    """Linked through the entries themselves, each of which is in one queue at most.

    An ordered dictionary does the same and takes 150 bytes for each entry.
    """

    def __init__(self) -> None:
        self.first: Entry | None = None
        self._last: Entry | None = None
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, entry: Entry) -> None:
        """Put an entry that is in no queue behind all others."""
        entry.before = self._last
        if self._last is None:
            self.first = entry
        else:
            self._last.after = entry
        self._last = entry
        self._length += 1

    def remove(self, entry: Entry) -> None:
        """Take out an entry that is in this queue."""
        if entry.before is None:
            self.first = entry.after
        else:
            entry.before.after = entry.after
        if entry.after is None:
            self._last = entry.before
        else:
            entry.after.before = entry.before
        entry.before = entry.after = None
        self._length -= 1
