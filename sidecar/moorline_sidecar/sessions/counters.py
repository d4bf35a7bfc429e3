"""What the sessions layer counts: plain integers, read when somebody asks."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Counters:
    """Sums since the start; of lifetimes since the last reset. Times are milliseconds."""

    created: int = 0
    ended: int = 0
    expired: int = 0
    renewed: int = 0
    hits: int = 0
    revalidated: int = 0
    misses: int = 0
    loads: int = 0
    load_batches: int = 0
    writes: int = 0
    write_batches: int = 0
    touches: int = 0
    touch_batches: int = 0
    conflicts: int = 0
    unknown_outcomes: int = 0
    outages: int = 0
    lost_changes: int = 0
    stream_events: int = 0
    stream_lag_ms: int = 0
    stream_breaks: int = 0
    stream_losses: int = 0
    shared_names: int = 0
    kept_changes: int = 0
    replayed_sessions: int = 0
    replay_conflicts: int = 0
    journal_refusals: int = 0
    overloads: int = 0
    orphans_ended: int = 0
    copies_removed: int = 0
    ended_lifetimes: int = 0
    lifetime_total_ms: int = 0
    lifetime_max_ms: int = 0
    lifetime_mean_ms: float = 0.0
    lifetime_squares: float = 0.0

    def count_end(self, lifetime_ms: int) -> None:
        """One session ended after so long (Jetty's session time statistics)."""
        self.ended_lifetimes += 1
        self.lifetime_total_ms += lifetime_ms
        self.lifetime_max_ms = max(self.lifetime_max_ms, lifetime_ms)
        # Welford 1962: a sum of squares would lose the small differences of long lives.
        delta = lifetime_ms - self.lifetime_mean_ms
        self.lifetime_mean_ms += delta / self.ended_lifetimes
        self.lifetime_squares += delta * (lifetime_ms - self.lifetime_mean_ms)

    def forget_lifetimes(self) -> None:
        """Begin the statistics of lifetimes anew; their total is a metric, and goes on."""
        self.ended_lifetimes = 0
        self.lifetime_max_ms = 0
        self.lifetime_mean_ms = 0.0
        self.lifetime_squares = 0.0

    @property
    def lifetime_stddev_ms(self) -> float:
        """Of the sample; 0 with fewer than two."""
        if self.ended_lifetimes < 2:  # noqa: PLR2004
            return 0.0
        return math.sqrt(self.lifetime_squares / (self.ended_lifetimes - 1))
