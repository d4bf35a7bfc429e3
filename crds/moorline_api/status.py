"""`status` of a SessionCluster: what the operator observed, never what anybody wishes."""

from enum import StrEnum
from typing import Annotated, TypeAlias

from msgspec import Meta

from moorline_api.base import Model
from moorline_api.scalars import Count

_Word: TypeAlias = Annotated[
    str,
    Meta(
        title="a word in CamelCase",
        examples=["AllReady"],
        pattern="^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
        max_length=128,
    ),
]
_Time: TypeAlias = Annotated[
    str,
    Meta(
        title="a time as in RFC 3339, in UTC",
        examples=["2026-11-22T08:00:00Z"],
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z$",
        max_length=32,
    ),
]


class ConditionStatus(StrEnum):
    """Kubernetes' three truth values."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Model, frozen=True, kw_only=True):
    """Kubernetes' `metav1.Condition`."""

    type: Annotated[_Word, Meta(description="`Ready`, `BackendReady`, …")]
    status: Annotated[ConditionStatus, Meta(description="True is good, in every condition.")]
    reason: Annotated[_Word, Meta(description="Why, as one stable word.")]
    message: Annotated[
        str,
        Meta(
            title="a sentence",
            examples=["All 12 workers are ready."],
            description="Why, as a sentence that a person can act on.",
            max_length=4096,
        ),
    ]
    last_transition_time: Annotated[_Time, Meta(description="When `status` last changed.")]
    observed_generation: Annotated[
        Count | None, Meta(description="The generation that it was decided for.")
    ] = None


class WorkersStatus(Model, frozen=True, kw_only=True):
    """Counts of live pods that carry the cluster's label."""

    summary: Annotated[
        str,
        Meta(
            title="two counts as ready/selected",
            examples=["12/12"],
            description="`ready/selected`, for `kubectl get`: a column shows one value.",
            pattern="^([0-9]+/[0-9]+)?$",
            max_length=21,
        ),
    ] = ""
    selected: Annotated[Count, Meta(description="All of them.")] = 0
    named: Annotated[Count, Meta(description="Those with a worker name.")] = 0
    ready: Annotated[Count, Meta(description="Those whose sidecar is ready.")] = 0
    outdated: Annotated[Count, Meta(description="Those with an older sidecar.")] = 0
    missing: Annotated[Count, Meta(description="Those without a sidecar or without a name.")] = 0


class PurgeStatus(Model, frozen=True, kw_only=True):
    """What the last purges told."""

    last_run: Annotated[_Time | None, Meta(description="When the last one ended.")] = None
    last_success: Annotated[_Time | None, Meta(description="When the last good one ended.")] = None
    invalid_deleted: Annotated[
        int, Meta(ge=0, description="Tombstones that the last good one deleted.")
    ] = 0
    valid_deleted: Annotated[
        int, Meta(ge=0, description="Expired sessions that the last good one deleted.")
    ] = 0
    duration_seconds: Annotated[
        float, Meta(ge=0, description="What the last good one took, in seconds.")
    ] = 0.0
    handled_token: Annotated[
        str,
        Meta(
            title="any text",
            examples=["1"],
            description="The last value of the annotation `moorline.io/purge-now` acted on.",
            max_length=256,
        ),
    ] = ""


class SessionClusterStatus(Model, frozen=True, kw_only=True):
    """What was observed; every part is absent until it was."""

    observed_generation: Annotated[
        Count | None, Meta(description="The generation of the spec that this tells about.")
    ] = None
    conditions: Annotated[
        tuple[Condition, ...],
        Meta(
            description="Ready, BackendReady, WorkersReady, PurgeHealthy, SidecarsUpToDate. The "
            "last never turns Ready false.",
            max_length=16,
        ),
    ] = ()
    workers: Annotated[WorkersStatus | None, Meta(description="Counts of live pods.")] = None
    purge: Annotated[PurgeStatus | None, Meta(description="What the last purges told.")] = None
    sidecar_image: Annotated[
        str,
        Meta(
            title="an image reference",
            examples=["registry.example.com/moorline-sidecar:1.2.3"],
            description="The image that pods get now.",
            max_length=512,
        ),
    ] = ""
