"""How a SessionCluster is run: housekeeping, the names of workers, the sidecar, monitoring."""

from typing import Annotated

from msgspec import Meta, field

from moorline_api.base import Model, Resources, TokenSecretRef
from moorline_api.choices import LogLevel
from moorline_api.scalars import (
    ContextPath,
    Count,
    Duration,
    ImageReference,
    Port,
    Ratio,
    Schedule,
    TimeZone,
    WorkerPrefix,
)


def _sidecar_resources() -> Resources:
    # The limit holds a full cache of 64Mi with its overhead (2.5 times) beside the process.
    return Resources(
        requests={"cpu": "50m", "memory": "96Mi"},
        limits={"memory": "256Mi"},
    )


def _purge_resources() -> Resources:
    # A purge is flat in memory, whatever it deletes: this is the process and one batch.
    return Resources(
        requests={"cpu": "50m", "memory": "64Mi"},
        limits={"memory": "256Mi"},
    )


class ScavengeSpec(Model, frozen=True, kw_only=True):
    """What each sidecar does about sessions whose time is over."""

    delay: Annotated[
        Duration,
        Meta(description="From the start to the first run. 1m: starting comes first."),
    ] = "1m"
    period: Annotated[
        Duration,
        Meta(
            description="From one run to the next, with jitter. 10m is often enough: nobody is "
            "served an expired session because a run is late."
        ),
    ] = "10m"
    limit: Annotated[
        Count, Meta(description="The most sessions a query; 0, the default, means all.")
    ] = 0
    grace_period: Annotated[
        Duration,
        Meta(
            description="Sessions of other workers are ended so long after their expiry, at least "
            "two touch periods. 1h leaves them to their own worker, if it still runs."
        ),
    ] = "1h"


class PurgeSpec(Model, frozen=True, kw_only=True):
    """The CronJob that deletes what is over from the backend."""

    schedule: Annotated[
        Schedule,
        Meta(
            description="When it runs: five cron fields, or @hourly, @daily, @midnight, @weekly, "
            "@monthly, @yearly, @annually. Minute and hour of @daily are chosen per SessionCluster."
        ),
    ] = "@daily"
    time_zone: Annotated[
        TimeZone,
        Meta(description="The zone of the schedule. Etc/UTC: no hour is missing or comes twice."),
    ] = "Etc/UTC"
    suspend: Annotated[
        bool, Meta(description="true: no run is started; the backend grows meanwhile.")
    ] = False
    invalid_age: Annotated[
        Duration,
        Meta(
            description="Tombstones of ended sessions are deleted so long after the end, at least "
            "1h. 24h: for a day it can be seen why a session ended."
        ),
    ] = "24h"
    valid_age: Annotated[
        Duration,
        Meta(
            description="Expired sessions that nobody ended are deleted when not used for so "
            "long; 0s means never. 168h: a week."
        ),
    ] = "168h"
    limit: Annotated[
        Count,
        Meta(
            description="The most of each kind that one run deletes; 0, the default, means no "
            "limit."
        ),
    ] = 0
    resources: Annotated[Resources, Meta(description="Requests and limits of its container.")] = (
        field(default_factory=_purge_resources)
    )


class WorkersSpec(Model, frozen=True, kw_only=True):
    """The names of the pods."""

    prefix: Annotated[
        WorkerPrefix,
        Meta(description="What every name begins with; a number follows. node: as in Jetty."),
    ] = "node"


class SidecarSpec(Model, frozen=True, kw_only=True):
    """The container beside the application."""

    image: Annotated[
        ImageReference,
        Meta(description="Its image. Empty, the default: the one that the operator came with."),
    ] = ""
    port: Annotated[
        Port, Meta(description="TCP port of the data plane, on the loopback address.")
    ] = 7070
    health_port: Annotated[
        Port, Meta(description="TCP port of health and metrics, on all addresses.")
    ] = 7071
    ops_port: Annotated[
        Port, Meta(description="TCP port of operations, on the loopback address.")
    ] = 7072
    socket: Annotated[
        bool,
        Meta(
            description="Whether the data plane also listens on a unix socket, which is a little "
            "faster. false: every HTTP client knows TCP."
        ),
    ] = False
    token_secret_ref: Annotated[
        TokenSecretRef | None,
        Meta(
            description="The Secret with the bearer token that data plane and operations ask for. "
            "None by default: only the pod itself reaches them."
        ),
    ] = None
    default_context: Annotated[
        ContextPath,
        Meta(description="The context of requests that name none. /: one application a cluster."),
    ] = "/"
    trace_ratio: Annotated[
        Ratio,
        Meta(
            description="The part of requests that is traced, from 0 to 1. 0: tracing a request "
            "costs more than serving it from the cache."
        ),
    ] = 0.0
    resources: Annotated[Resources, Meta(description="Requests and limits of the container.")] = (
        field(default_factory=_sidecar_resources)
    )
    log_level: Annotated[
        LogLevel, Meta(description="The least serious lines of its log. info: a few a day.")
    ] = LogLevel.INFO


class MonitoringSpec(Model, frozen=True, kw_only=True):
    """Objects for software that not every cluster has."""

    pod_monitor: Annotated[
        bool,
        Meta(description="Whether a PodMonitor is made. false: its CRD may be missing."),
    ] = False
    network_policy: Annotated[
        bool,
        Meta(
            description="Whether a NetworkPolicy is made for purge and check pods: nobody reaches "
            "them, and they reach DNS and the backend. It never selects the application's pods."
        ),
    ] = False
