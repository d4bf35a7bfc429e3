"""What a session is and how browsers carry it: `spec.sessions`, `spec.cookie`, `spec.cache`."""

from typing import Annotated

from msgspec import Meta

from moorline_api.base import Model
from moorline_api.choices import (
    CacheMode,
    Eviction,
    HintPlacement,
    OnOutage,
    OnShutdown,
    SameSite,
    SaveMode,
    Staleness,
    StoreIds,
    WhenReached,
)
from moorline_api.scalars import (
    CookieDomain,
    CookieName,
    CookiePath,
    Count,
    Duration,
    PositiveCount,
    Size,
)


class SaveSpec(Model, frozen=True, kw_only=True):
    """When changes are durable."""

    mode: Annotated[
        SaveMode,
        Meta(description="`Write`, because what was acknowledged is then never lost."),
    ] = SaveMode.WRITE
    period: Annotated[
        Duration,
        Meta(
            description="The longest that a change waits in the modes `Complete` and `Periodic`. "
            "5s: what a crash may cost."
        ),
    ] = "5s"


class PerPrincipalSpec(Model, frozen=True, kw_only=True):
    """How many sessions one user may have."""

    max: Annotated[
        Count, Meta(description="Live sessions per principal; 0, the default, means no limit.")
    ] = 0
    when_reached: Annotated[
        WhenReached,
        Meta(description="What one more does. `EndOldest`: nobody locks himself out."),
    ] = WhenReached.END_OLDEST


class SessionsSpec(Model, frozen=True, kw_only=True):
    """Life, saving and limits of sessions."""

    max_idle: Annotated[
        Duration,
        Meta(
            description="A session ends when it was not used for so long; 0s means never. 30m is "
            "what users of servlet containers are used to."
        ),
    ] = "30m"
    max_age: Annotated[
        Duration,
        Meta(
            description="A session ends so long after it was created, used or not; 0s, the "
            "default, means never."
        ),
    ] = "0s"
    save: Annotated[SaveSpec, Meta(description="When changes are durable.")] = SaveSpec()
    touch_period: Annotated[
        Duration,
        Meta(
            description="Times of access are written at most so often per session; 0s writes "
            "each. At most a tenth of the session's own idle time counts. 60s spares the backend "
            "nearly all writes of sessions that are only read."
        ),
    ] = "60s"
    renew_grace: Annotated[
        Duration,
        Meta(
            description="For so long after a renew, reads with the old id show the session as it "
            "was before. 10s: requests that were on their way when a login changed the id."
        ),
    ] = "10s"
    max_bytes: Annotated[
        Size,
        Meta(
            description="The largest session, encoded, in bytes. 1Mi: larger ones are nearly "
            "always a mistake, and MongoDB ends at 16 MB."
        ),
    ] = "1Mi"
    store_ids: Annotated[
        StoreIds,
        Meta(
            description="What the backend keeps a session under. `Hashed`, so that who reads the "
            "database cannot take over a session."
        ),
    ] = StoreIds.HASHED
    save_on_create: Annotated[
        bool,
        Meta(
            description="Whether a new session is stored, and given a cookie, before its first "
            "change. true: it is there for whoever asks next. false: bots leave nothing behind."
        ),
    ] = True
    on_shutdown: Annotated[
        OnShutdown,
        Meta(
            description="What becomes of a stopping sidecar's sessions. `Preserve`: rollouts go "
            "unnoticed."
        ),
    ] = OnShutdown.PRESERVE
    on_outage: Annotated[
        OnOutage,
        Meta(
            description="What becomes of changes while the backend is out of reach. `Refuse`: "
            "what was acknowledged is durable."
        ),
    ] = OnOutage.REFUSE
    per_principal: Annotated[PerPrincipalSpec, Meta(description="Sessions per user.")] = (
        PerPrincipalSpec()
    )


class CookieSpec(Model, frozen=True, kw_only=True):
    """The session cookie, as RFC 6265bis has it."""

    name: Annotated[
        CookieName,
        Meta(description="The name. `SESSION` tells nobody which software serves it."),
    ] = "SESSION"
    path: Annotated[CookiePath, Meta(description="The `Path`. /: the whole host.")] = "/"
    domain: Annotated[
        CookieDomain,
        Meta(description="The `Domain`. Empty, the default: no other host gets the cookie."),
    ] = ""
    secure: Annotated[
        bool,
        Meta(description="`Secure`: sent over HTTPS only. true, or it can be read on its way."),
    ] = True
    http_only: Annotated[
        bool,
        Meta(description="`HttpOnly`. true: injected scripts cannot read it."),
    ] = True
    same_site: Annotated[
        SameSite,
        Meta(description="`SameSite`. `Lax`: links from other sites keep working."),
    ] = SameSite.LAX
    partitioned: Annotated[
        bool,
        Meta(description="`Partitioned`: one cookie per embedding site. false: few embed."),
    ] = False
    max_age: Annotated[
        Duration,
        Meta(
            description="`Max-Age`. 0s, the default: no such attribute, the cookie goes when the "
            "browser is closed."
        ),
    ] = "0s"
    refresh_age: Annotated[
        Duration,
        Meta(
            description="A cookie older than this is set anew, which moves its `Max-Age` on; 0s, "
            "the default, means never."
        ),
    ] = "0s"
    hint: Annotated[
        HintPlacement,
        Meta(
            description="Where the browser keeps the version it has seen. `Separate`: a cookie of "
            "its own, so that the session cookie need not be rewritten."
        ),
    ] = HintPlacement.SEPARATE


class CacheSpec(Model, frozen=True, kw_only=True):
    """The L1: what a sidecar keeps in memory."""

    mode: Annotated[
        CacheMode, Meta(description="Whether there is one. `Enabled`: it is what makes reads fast.")
    ] = CacheMode.ENABLED
    max_sessions: Annotated[
        PositiveCount,
        Meta(description="The most sessions in it. 10000: of 1 KB each, well below 64Mi."),
    ] = 10_000
    max_bytes: Annotated[
        Size,
        Meta(
            description="The most bytes in it, encoded. 64Mi fits the default memory limit of the "
            "sidecar: raise `sidecar.resources.limits` with it."
        ),
    ] = "64Mi"
    evict: Annotated[
        Eviction,
        Meta(description="When a session leaves it early. `Never`: when room is needed."),
    ] = Eviction.NEVER
    idle: Annotated[
        Duration,
        Meta(description="With `AfterIdle`: it leaves when not used for so long. 10m."),
    ] = "10m"
    staleness: Annotated[
        Staleness,
        Meta(
            description="When a copy is served without asking the backend. `Pushed`: the backend "
            "tells of changes, so that asking is rarely needed."
        ),
    ] = Staleness.PUSHED
    stale_period: Annotated[
        Duration,
        Meta(description="With `Periodic`: the longest since the copy was confirmed. 10s."),
    ] = "10s"
    max_trust: Annotated[
        Duration,
        Meta(
            description="With `Bounced`: the longest since the copy was confirmed, however well "
            "requests stick. 10s bounds how long a logout elsewhere stays unseen."
        ),
    ] = "10s"
