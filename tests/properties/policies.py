"""The policies that are tried: short lives and periods, and every mode of saving and trusting."""

import hypothesis.strategies as st
from moorline_api import CacheMode, Eviction, SaveMode, Staleness
from moorline_sidecar.domain.policies import Policy

from tests.sidecar.sessions.workers import SECOND

POLICIES = st.builds(
    Policy,
    worker=st.just(""),
    max_idle_ms=st.sampled_from([20 * SECOND, 60 * SECOND]),
    max_age_ms=st.sampled_from([0, 0, 40 * SECOND]),
    touch_period_ms=st.sampled_from([0, 2 * SECOND, 60 * SECOND]),
    renew_grace_ms=st.sampled_from([0, 10 * SECOND]),
    save_mode=st.sampled_from([SaveMode.WRITE, SaveMode.WRITE, *SaveMode]),
    save_period_ms=st.just(3 * SECOND),
    cache_mode=st.sampled_from([CacheMode.ENABLED, CacheMode.ENABLED, CacheMode.DISABLED]),
    cache_sessions=st.sampled_from([1, 1000]),
    evict=st.sampled_from([Eviction.NEVER, Eviction.NEVER, Eviction.AFTER_REQUEST]),
    staleness=st.sampled_from([Staleness.PUSHED, Staleness.PUSHED, *Staleness]),
    scavenge_delay_ms=st.just(5 * SECOND),
    scavenge_period_ms=st.just(10 * SECOND),
    scavenge_grace_ms=st.just(0),
)
