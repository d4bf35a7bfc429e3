"""Reads that a copy answers at once, decided with as few looks as possible: most requests are such.

The rules are those of `finding`, `core` and `touching`. Where they do not allow a hit for sure it
is left to them, and nothing has been counted.
"""

from __future__ import annotations

from moorline_api import Eviction, Staleness

from moorline_sidecar.cache.entry import Entry
from moorline_sidecar.cache.l1 import FREQUENCY_MAX
from moorline_sidecar.domain.ids import Hint
from moorline_sidecar.domain.policies import Policy
from moorline_sidecar.sessions.core import Core


class Hitting:
    """Hits on copies that the change stream vouches for."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._monotonic = core.clock.monotonic
        self._clock = core.clock
        self._coverage = core.coverage
        self._availability = core.availability
        self._counters = core.counters
        self._follow(core.policy)

    def hit(self, entry: Entry, hint: Hint) -> bool:
        """Count an access to the live session of an entry, which may be answered with; or nothing.

        Its times wait to be written already, and it is going to expire if nothing happens.
        """
        if self._core.policy is not self._policy:
            self._follow(self._core.policy)
        monotonic = self._monotonic()
        now = monotonic + self._clock.offset
        coverage = self._coverage
        times = entry.times
        version = entry.stored.version
        if (
            now >= times.calm_until
            or monotonic >= coverage.until
            or entry.confirmed_at <= coverage.since
            or version < hint.version
            or version < entry.floor
            or self._availability.is_down
            or not self._is_pushed
        ):
            return False
        if now > times.own_accessed:
            times.own_last_accessed = times.own_accessed
            times.own_accessed = now
            times.own_expiry = now + times.max_idle_ms
        entry.used_at = monotonic
        if entry.frequency < FREQUENCY_MAX:
            entry.frequency += 1
        self._counters.hits += 1
        return True

    def _follow(self, policy: Policy) -> None:
        self._policy = policy
        for entry in self._core.l1:  # by another touch period an access may be urgent
            entry.times.calm_until = 0
        self._is_pushed = (
            policy.staleness is Staleness.PUSHED and policy.evict is not Eviction.AFTER_REQUEST
        )
