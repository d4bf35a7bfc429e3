"""What the store's change stream vouches for: which copies, and until when.

A copy is covered if the stream would have told of a newer version. For that it must have been
confirmed after the stream had begun, and all that was acknowledged until a moment ago must have
been told. Both are moments of this process's monotonic clock, taken before the question whose
answer proves them: an answer that was long on its way, or waited for a process that was stopped,
proves nothing about the time in between.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from moorline_sidecar.cache.entry import Entry
from moorline_sidecar.hot import Standing

LIVE_MS: Final = 3_000
"""Since the newest question whose answer has shown everything: how old a covered copy may be."""

FLOORS_MAX: Final = 4_096
"""Keys whose last event is remembered for loads under way: about half a megabyte."""

BEYOND_ALL: Final = 1 << 63
"""Above every version: of a record that is gone."""


class Coverage:
    """Kept by `watching`; asked at each read, so that nothing here awaits or searches.

    Covered is, before `standing.until`, what was confirmed after `standing.since`.
    """

    def __init__(self, standing: Standing) -> None:
        self._standing = standing
        self._complete_until: int | None = None
        self._floors: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._forgotten_at = -1

    def covers(self, confirmed_at: int, now: int) -> bool:
        """Whether a copy, confirmed then, is the newest version but for the last 3 s."""
        # Not equal: within one millisecond nobody knows which came first.
        standing = self._standing
        return now < standing.until and confirmed_at > standing.since

    def is_live(self, now: int) -> bool:
        return now < self._standing.until

    def age_ms(self, now: int) -> int | None:
        """How long ago everything was known; None where no stream has shown that yet."""
        return None if self._complete_until is None else now - self._complete_until

    def begin(self, now: int) -> None:
        """A stream has begun that tells nothing of what was before: no copy is confirmed by it."""
        self.stop()
        self._standing.since = now

    def extend(self, complete_until: int) -> None:
        """All that was acknowledged before this moment has been told."""
        self._complete_until = complete_until
        self._standing.until = complete_until + LIVE_MS

    def stop(self) -> None:
        """There is no stream, or a gap in what it told."""
        self._standing.until = 0
        self._complete_until = None

    def note(self, key: str, floor: int, heard_at: int) -> None:
        """The store has held at least version `floor` of `key` when this was heard."""
        known, _ = self._floors.pop(key, (0, 0))
        self._floors[key] = max(known, floor), heard_at
        if len(self._floors) > FLOORS_MAX:
            _, (_, self._forgotten_at) = self._floors.popitem(last=False)

    def judge(self, entry: Entry, asked_at: int) -> None:
        """Outdate a new entry whose load was overtaken by an event."""
        floor, heard_at = self._floors.get(entry.key, (0, -1))
        if asked_at <= heard_at:
            entry.outdate(floor, heard_at)
        elif asked_at <= self._forgotten_at:
            # Perhaps there was one: so many others came since that nobody remembers.
            entry.outdate(entry.stored.version + 1, self._forgotten_at)
