"""What one process runs with, read once and frozen; made from a SessionCluster's spec."""

from __future__ import annotations

from moorline_api import BackendSpec, SessionClusterSpec, StoreIds, duration_ms, size_bytes
from msgspec import Struct

from moorline_sidecar.config.addresses import Address
from moorline_sidecar.config.limits import Limits
from moorline_sidecar.config.secrets import SecretFile, SecretText
from moorline_sidecar.domain.cookies import CookiePolicy
from moorline_sidecar.domain.policies import Policy


class PurgeSettings(Struct, frozen=True, kw_only=True):
    """How old records have to be to be deleted; `valid_age_ms` 0 is never, `limit` 0 is none."""

    invalid_age_ms: int
    valid_age_ms: int
    limit: int


class Configuration(Struct, frozen=True, kw_only=True):
    """Everything that is decided before the process opens anything.

    `backend` and `uri` are of no use with `is_dev`, where an embedded store takes their place.
    `socket` is the path of the unix socket, None for none; `journal` the folder of the changes that
    are kept through an outage, None for memory alone. `spec_hash` changes with the spec.
    """

    cluster: str
    namespace: str
    is_dev: bool
    backend: BackendSpec
    uri: SecretText | SecretFile | None
    policy: Policy
    cookies: CookiePolicy
    purge: PurgeSettings
    limits: Limits
    default_context: str
    listen: Address
    health: Address
    ops: Address
    socket: str | None
    token: SecretFile | None
    trace_ratio: float
    otlp_endpoint: str | None
    log_level: str
    shutdown_seconds: float
    journal: str | None
    spec_hash: str

    @property
    def worker(self) -> str:
        return self.policy.worker


def policy_of(spec: SessionClusterSpec, worker: str) -> Policy:
    """`sessions`, `cache` and `scavenge` in milliseconds and bytes."""
    sessions, cache, scavenge = spec.sessions, spec.cache, spec.scavenge
    return Policy(
        worker=worker,
        hashed_ids=sessions.store_ids is StoreIds.HASHED,
        max_idle_ms=duration_ms(sessions.max_idle),
        max_age_ms=duration_ms(sessions.max_age),
        touch_period_ms=duration_ms(sessions.touch_period),
        renew_grace_ms=duration_ms(sessions.renew_grace),
        max_session_bytes=size_bytes(sessions.max_bytes),
        save_mode=sessions.save.mode,
        save_period_ms=duration_ms(sessions.save.period),
        saves_on_create=sessions.save_on_create,
        on_shutdown=sessions.on_shutdown,
        on_outage=sessions.on_outage,
        principal_max=sessions.per_principal.max,
        when_reached=sessions.per_principal.when_reached,
        cache_mode=cache.mode,
        cache_sessions=cache.max_sessions,
        cache_bytes=size_bytes(cache.max_bytes),
        evict=cache.evict,
        evict_idle_ms=duration_ms(cache.idle),
        staleness=cache.staleness,
        stale_period_ms=duration_ms(cache.stale_period),
        max_trust_ms=duration_ms(cache.max_trust),
        scavenge_delay_ms=duration_ms(scavenge.delay),
        scavenge_period_ms=duration_ms(scavenge.period),
        scavenge_limit=scavenge.limit,
        scavenge_grace_ms=duration_ms(scavenge.grace_period),
    )


def cookie_policy_of(spec: SessionClusterSpec) -> CookiePolicy:
    """`cookie`; browsers count in seconds, and what is below one is not none."""
    cookie = spec.cookie
    return CookiePolicy(
        name=cookie.name,
        path=cookie.path,
        domain=cookie.domain,
        secure=cookie.secure,
        http_only=cookie.http_only,
        same_site=cookie.same_site,
        partitioned=cookie.partitioned,
        max_age_s=-(-duration_ms(cookie.max_age) // 1000),
        refresh_age_ms=duration_ms(cookie.refresh_age),
        hint=cookie.hint,
    )


def purge_settings_of(spec: SessionClusterSpec) -> PurgeSettings:
    """`purge`, without what only the CronJob is about."""
    return PurgeSettings(
        invalid_age_ms=duration_ms(spec.purge.invalid_age),
        valid_age_ms=duration_ms(spec.purge.valid_age),
        limit=spec.purge.limit,
    )
