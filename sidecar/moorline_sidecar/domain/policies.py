"""The decisions about a session's life, saving and copies: facts and `now` in, a verdict out.

Times are milliseconds. The rules, in words, are in docs/sessions.md.
"""

from __future__ import annotations

from typing import Final

from moorline_api import (
    CacheMode,
    Eviction,
    OnOutage,
    OnShutdown,
    SaveMode,
    Staleness,
    WhenReached,
)
from msgspec import Struct

from moorline_sidecar.domain.ids import Hint
from moorline_sidecar.domain.session import Session, Tombstone
from moorline_sidecar.hot import Times

SLACK_OVER_TOUCH_PERIOD_MS: Final = 5_000
"""What a batched write of times may take on a slow store, on top of the period it waits for."""

IDLE_PARTS: Final = 10
"""A session's own `maxIdle` is cut into so many touch periods at least."""

ORPHANED_COPY_MS: Final = 60_000
"""A renew takes seconds at most; a copy this old belongs to a worker that crashed."""

RECENT_KEYS: Final = 16
"""Idempotency keys that a session remembers."""


class Policy(Struct, frozen=True, kw_only=True):
    """What a SessionCluster says about sessions, in milliseconds and bytes, and this worker."""

    worker: str
    hashed_ids: bool = True
    max_idle_ms: int = 1_800_000
    max_age_ms: int = 0
    touch_period_ms: int = 60_000
    renew_grace_ms: int = 10_000
    max_session_bytes: int = 1 << 20
    save_mode: SaveMode = SaveMode.WRITE
    save_period_ms: int = 5_000
    saves_on_create: bool = True
    on_shutdown: OnShutdown = OnShutdown.PRESERVE
    on_outage: OnOutage = OnOutage.REFUSE
    principal_max: int = 0
    when_reached: WhenReached = WhenReached.END_OLDEST
    cache_mode: CacheMode = CacheMode.ENABLED
    cache_sessions: int = 10_000
    cache_bytes: int = 64 << 20
    evict: Eviction = Eviction.NEVER
    evict_idle_ms: int = 600_000
    staleness: Staleness = Staleness.PUSHED
    stale_period_ms: int = 10_000
    max_trust_ms: int = 10_000
    scavenge_delay_ms: int = 60_000
    scavenge_period_ms: int = 600_000
    scavenge_limit: int = 0
    scavenge_grace_ms: int = 3_600_000

    @property
    def effective_save_mode(self) -> SaveMode:
        """Without an L1 there is nowhere to keep what is unsaved."""
        return self.save_mode if self.cache_mode is CacheMode.ENABLED else SaveMode.WRITE

    @property
    def unsaved_bytes_max(self) -> int:
        """Beyond it changes are refused: what is unsaved cannot be evicted."""
        return self.cache_bytes // 2


def touch_period(policy: Policy, max_idle_ms: int) -> int:
    """How long an access may stay unwritten."""
    if max_idle_ms == 0:
        return policy.touch_period_ms
    return min(policy.touch_period_ms, max_idle_ms // IDLE_PARTS)


def slack(policy: Policy, max_idle_ms: int) -> int:
    """How late at most an idle session is found expired by a worker that does not know better."""
    return touch_period(policy, max_idle_ms) + SLACK_OVER_TOUCH_PERIOD_MS


def deadline_of(policy: Policy, created: int) -> int | None:
    """When `maxAge` ends a session, however busy it is."""
    return created + policy.max_age_ms if policy.max_age_ms else None


def expiry_of(accessed: int, max_idle_ms: int, deadline: int | None) -> int | None:
    """When a session expires if nothing happens; None for never."""
    if max_idle_ms == 0:
        return deadline
    idle_end = accessed + max_idle_ms
    return idle_end if deadline is None else min(idle_end, deadline)


def move_times(times: Times, accessed: int) -> None:
    """Take in an access by this worker, unless it knows of a later one."""
    if accessed > times.own_accessed:
        times.own_last_accessed = times.own_accessed
        times.own_accessed = accessed
        times.own_expiry = expiry_of(accessed, times.max_idle_ms, times.deadline)


def is_expired(policy: Policy, times: Times, hint: Hint | None, now: int) -> bool:
    """Whether the session is over for this worker.

    The deadline is exact for everyone. For idleness, a worker that holds the newest access decides
    by its own. Any other may not know of accesses that are unwritten elsewhere: it gives the stored
    expiry `slack`.
    """
    if times.deadline is not None and times.deadline <= now:
        return True
    if holds_newest_access(policy, times, hint):
        return times.own_expiry is not None and times.own_expiry <= now
    if times.stored_expiry is None or times.own_expiry is None or times.own_expiry > now:
        # Its own access may be newer than the stored one, which it could not write in an outage.
        return False
    return times.stored_expiry < now - slack(policy, times.max_idle_ms)


def holds_newest_access(policy: Policy, times: Times, hint: Hint | None) -> bool:
    """Whether, as far as it can tell, nobody accessed the session later than this worker."""
    return (
        times.own_accessed >= times.stored_accessed
        and times.stored_node == policy.worker
        and (hint is None or hint.worker == policy.worker)
    )


def is_urgent(times: Times, period_ms: int) -> bool:
    """Whether an access must be stored before it is answered.

    True when the stored life is so nearly over that another worker could end the session before the
    next bulk write, and when no access may wait (`touchPeriod: 0s`). Who accessed it before grants
    no slack, so that what a bulk write may take has to fit in as well.
    """
    if times.own_accessed <= times.stored_accessed:
        return False
    if period_ms == 0:
        return True
    if times.stored_expiry is None or times.own_expiry == times.stored_expiry:
        return False
    return times.stored_expiry - times.own_accessed < _written_within(period_ms)


def may_wait(times: Times, now: int, period_ms: int) -> bool:
    """Whether an access at `now` is surely not going to be urgent; nothing has been moved yet."""
    if period_ms == 0 or times.own_accessed > now:
        return False
    return times.stored_expiry is None or times.stored_expiry - now >= _written_within(period_ms)


def _written_within(period_ms: int) -> int:
    """For so long an access may stay unwritten: until its bulk write begins, and ends."""
    return period_ms + max(period_ms, SLACK_OVER_TOUCH_PERIOD_MS)


def calm_until(times: Times, period_ms: int) -> int:
    """Until when accesses to a session whose times wait to be written need no other decision.

    Before that it is not expired, no access is urgent, and no deadline cuts its life short. Only
    for times that `is_urgent` has just denied: it is right as long as accesses alone move them.
    """
    if times.own_expiry is None:
        return 0
    until = times.own_expiry
    if times.stored_expiry is not None:
        until = min(until, times.stored_expiry - _written_within(period_ms))
    if times.deadline is not None:
        until = min(until, times.deadline - times.max_idle_ms)
    return until if times.max_idle_ms else 0


class CopyFacts(Struct, frozen=True):
    """What is known of a copy in the L1, `confirmed_ms_ago` by the store.

    `stream_is_live`: it would have told of a newer version. `is_outdated`: it has.
    """

    version: int
    confirmed_ms_ago: int
    stream_is_live: bool = False
    is_outdated: bool = False


def may_serve_copy(policy: Policy, copy: CopyFacts, hint: Hint | None) -> bool:
    """Whether a live session's copy is served without asking the store. Tombstones always are."""
    if hint is not None and copy.version < hint.version:
        return False
    match policy.staleness:
        case Staleness.NEVER:
            return True
        case Staleness.PERIODIC:
            return copy.confirmed_ms_ago < policy.stale_period_ms
        case Staleness.ALWAYS:
            return False
        case Staleness.PUSHED if hint is not None and copy.stream_is_live:
            return not copy.is_outdated
        case Staleness.PUSHED | Staleness.BOUNCED:
            return (
                hint is not None
                and hint.worker == policy.worker
                and not copy.is_outdated
                and copy.confirmed_ms_ago < policy.max_trust_ms
            )


def may_serve_in_outage(copy_version: int, hint: Hint | None) -> bool:
    """Whether a copy is served while the store cannot be asked: never below what the client saw."""
    return hint is None or copy_version >= hint.version


def grace_session(tombstone: Tombstone, now: int) -> Session | None:
    """What a read with a just renewed id is shown; None once the grace is over."""
    if tombstone.grace is None or tombstone.grace_until is None or tombstone.grace_until <= now:
        return None
    return tombstone.grace
