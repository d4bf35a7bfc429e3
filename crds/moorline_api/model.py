"""The SessionCluster: `moorline.io/v1alpha1`, namespaced, with a status subresource.

    spec  ── backend      backends.py      status ── status.py
          ── sessions, cookie, cache       sessions.py
          ── scavenge, purge, workers, sidecar, monitoring    operations.py

Defaults are here and nowhere else; the schema in the API server is made from them.
"""

from typing import Annotated, Final

from msgspec import Meta

from moorline_api.backends import BackendSpec
from moorline_api.base import Model
from moorline_api.operations import (
    MonitoringSpec,
    PurgeSpec,
    ScavengeSpec,
    SidecarSpec,
    WorkersSpec,
)
from moorline_api.scalars import ClusterName, Namespace
from moorline_api.sessions import CacheSpec, CookieSpec, SessionsSpec

GROUP: Final = "moorline.io"
VERSION: Final = "v1alpha1"
KIND: Final = "SessionCluster"
PLURAL: Final = "sessionclusters"
SHORT_NAME: Final = "scl"


class ClusterIdentity(Model, frozen=True, kw_only=True):
    """Which SessionCluster a spec belongs to: what `metadata` says of it."""

    name: Annotated[ClusterName, Meta(description="The name of the SessionCluster.")]
    namespace: Annotated[Namespace, Meta(description="Its namespace.")] = "default"


class SessionClusterSpec(Model, frozen=True, kw_only=True):
    """All that can be wished for; only `backend` has to be."""

    backend: Annotated[
        BackendSpec,
        Meta(
            title="where sessions are kept",
            examples=[{"type": "MongoDB", "mongodb": {}}],
            description="Where sessions are kept.",
        ),
    ]
    sessions: Annotated[SessionsSpec, Meta(description="Life, saving and limits of sessions.")] = (
        SessionsSpec()
    )
    cookie: Annotated[CookieSpec, Meta(description="The session cookie.")] = CookieSpec()
    cache: Annotated[CacheSpec, Meta(description="What a sidecar keeps in memory.")] = CacheSpec()
    scavenge: Annotated[
        ScavengeSpec, Meta(description="What each sidecar does about sessions whose time is over.")
    ] = ScavengeSpec()
    purge: Annotated[
        PurgeSpec, Meta(description="The CronJob that deletes what is over from the backend.")
    ] = PurgeSpec()
    workers: Annotated[WorkersSpec, Meta(description="The names of the pods.")] = WorkersSpec()
    sidecar: Annotated[SidecarSpec, Meta(description="The container beside the application.")] = (
        SidecarSpec()
    )
    monitoring: Annotated[
        MonitoringSpec, Meta(description="Objects for software that not every cluster has.")
    ] = MonitoringSpec()
    suspend: Annotated[
        bool, Meta(description="true: the operator leaves children and names as they are.")
    ] = False
