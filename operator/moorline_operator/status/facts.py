"""What the status of a SessionCluster is made of."""

from collections.abc import Sequence
from datetime import datetime

from moorline_api.model import SessionClusterSpec
from moorline_api.status import ConditionStatus, SessionClusterStatus
from msgspec import Struct

from moorline_operator.pods import PodRecord


class CheckOutcome(Struct, frozen=True, kw_only=True):
    """What a check told; `reason` is a word of the condition BackendReady, or "" without one."""

    is_ok: bool
    reason: str
    detail: str
    server: str = ""


class PurgeOutcome(Struct, frozen=True, kw_only=True):
    """What a purge told; not `is_complete` if it was cut short.

    `reason` and `detail` are of one that failed, as a check tells them, else "".
    """

    invalid_deleted: int
    valid_deleted: int
    duration_seconds: float
    is_complete: bool
    reason: str = ""
    detail: str = ""


class JobFacts(Struct, frozen=True, kw_only=True):
    """A Job of a task.

    `checked` and `attempt` are those of its annotations, for a check. `reason` is what failed it,
    as Kubernetes calls it, `exit_code` that of its last container, and `stuck` why its pod does
    not start. `outcome` is None until it has ended, and where it told nothing.
    """

    name: str
    uid: str
    task: str
    checked: str = ""
    attempt: int = 0
    ended: datetime | None = None
    has_succeeded: bool = False
    reason: str = ""
    exit_code: int | None = None
    stuck: str = ""
    outcome: CheckOutcome | PurgeOutcome | None = None


class CronFacts(Struct, frozen=True, kw_only=True):
    """A purge's CronJob: its five fields, and since when it is as it is."""

    schedule: str
    since: datetime


class Observed(Struct, frozen=True, kw_only=True):
    """Everything that the status of one SessionCluster says, and what it was before.

    `spec` is None where it cannot be read: `mistakes` tell why. `refusal` is the API server's
    sentence about a child that it did not take. `config_generation` is that of the spec in the
    ConfigMap. `injected` is the fingerprint that a pod would get now, `checked` that of the check
    that is due. `purge_token` is the annotation `moorline.io/purge-now`.
    """

    namespace: str
    name: str
    generation: int
    now: datetime
    previous: SessionClusterStatus
    spec: SessionClusterSpec | None
    mistakes: Sequence[str] = ()
    refusal: str = ""
    config_generation: int | None = None
    pods: Sequence[PodRecord] = ()
    jobs: Sequence[JobFacts] = ()
    injected: str = ""
    checked: str = ""
    purge_token: str = ""
    cron: CronFacts | None = None
    sidecar_image: str = ""


class Finding(Struct, frozen=True):
    """What a condition says; True is good, and `message` does not change by itself with time."""

    status: ConditionStatus
    reason: str
    message: str


def good(reason: str, message: str) -> Finding:
    return Finding(ConditionStatus.TRUE, reason, message)


def bad(reason: str, message: str) -> Finding:
    return Finding(ConditionStatus.FALSE, reason, message)


def unknown(reason: str, message: str) -> Finding:
    return Finding(ConditionStatus.UNKNOWN, reason, message)


def sentence(text: str) -> str:
    """The text with a capital and a full stop; "" stays as it is."""
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text.endswith((".", "!", "?", "…")) else ".")
