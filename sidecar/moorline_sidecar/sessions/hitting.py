"""Reads that a copy answers at once, decided with as few looks as possible: most requests are such.

The rules are those of `finding`, `core` and `touching`. Where they do not allow a hit for sure it
is left to them, and nothing has been counted.
"""

from __future__ import annotations

from moorline_api import Eviction, Staleness

from moorline_sidecar.cache.entry import Entry
from moorline_sidecar.cache.l1 import FREQUENCY_MAX
from moorline_sidecar.domain.ids import Hint
from moorline_sidecar.domain.policies import Policy, may_wait, touch_period
from moorline_sidecar.sessions.core import Core
from moorline_sidecar.sessions.touching import Touching


class Hitting:
    """Hits on copies that the change stream vouches for.

    Who is to find an answer by its name asks `trusts` once, and for each hit `hit`. What `trusts`
    has said holds until the entry loses its names.
    """

    def __init__(self, core: Core, touching: Touching) -> None:
        self._core = core
        self._access_at = touching.access_at
        self._clock = core.clock
        self._nanoseconds = core.clock.nanoseconds
        self._standing = core.standing
        self._counters = core.counters
        self._monotonic = self._now = self._expiry = self._max_idle_ms = 0
        self._policy: Policy | None = None
        self._since = -1
        self._follow()

    def trusts(self, entry: Entry, hint: Hint) -> bool:
        """Whether a live stream is enough to answer with an entry to who has seen this version."""
        self._follow()
        return (
            self._is_pushed
            and entry.confirmed_at > self._since
            and hint.version <= entry.stored.version
            and not entry.is_outdated
        )

    def hit(self, entry: Entry) -> bool:
        """Count an access to the live session of a trusted entry, or nothing.

        It is going to expire if nothing happens. Nearly always its times wait to be written.
        """
        monotonic = self._nanoseconds() // 1_000_000
        if monotonic != self._monotonic:
            self._tick(monotonic)
        now = self._now
        standing = self._standing
        times = entry.times
        if (
            monotonic >= standing.until
            or standing.since != self._since
            or self._core.policy is not self._policy
            or standing.is_down
        ):
            self._follow()
            return False
        if now >= times.calm_until:
            if not self._is_counted(entry, now):
                return False
        elif now > times.own_accessed:
            times.own_last_accessed = times.own_accessed
            times.own_accessed = now
            if times.max_idle_ms != self._max_idle_ms:
                self._max_idle_ms = times.max_idle_ms
                self._expiry = now + self._max_idle_ms
            times.own_expiry = self._expiry
        times.used_at = self._monotonic
        if times.frequency < FREQUENCY_MAX:
            times.frequency += 1
        self._counters.hits += 1
        return True

    def _is_counted(self, entry: Entry, now: int) -> bool:
        """Count the first access of a touch period, if it may wait and the session surely lives."""
        times, policy = entry.times, self._core.policy
        if times.own_expiry is None or times.own_expiry <= now:
            return False
        if times.deadline is not None and times.deadline <= now:
            return False
        if not may_wait(times, now, touch_period(policy, times.max_idle_ms)):
            return False
        self._access_at(entry, now, self._monotonic)
        return True

    def _tick(self, monotonic: int) -> None:
        """Make the numbers of this millisecond, for all sessions that are hit in it.

        A number of its own for each would be one more place in memory for the next hit to wait for.
        """
        self._monotonic = monotonic
        self._now = monotonic + self._clock.offset
        self._expiry = self._now + self._max_idle_ms

    def _follow(self) -> None:
        """Trust nothing by what was so before another policy, or another stream."""
        policy, since = self._core.policy, self._standing.since
        if since != self._since:
            self._since = since
            self._core.l1.names.clear()
        if policy is self._policy:
            return
        self._policy = policy
        self._core.l1.names.clear()
        for entry in self._core.l1:  # by another touch period an access may be urgent
            entry.times.calm_until = 0
        self._is_pushed = (
            policy.staleness is Staleness.PUSHED and policy.evict is not Eviction.AFTER_REQUEST
        )
