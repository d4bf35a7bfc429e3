"""What is worth an Event when a status changes. The reasons are a contract: alerts name them."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from moorline_api.status import Condition, ConditionStatus, SessionClusterStatus
from msgspec import Struct

from moorline_operator.status.deriving import (
    BACKEND_READY,
    PURGE_HEALTHY,
    READY,
    SIDECARS_UP_TO_DATE,
    WORKERS_READY,
)
from moorline_operator.status.purges import NOT_OF_A_RUN


class Reason(StrEnum):
    """Each with what it means; those of `NORMAL` are of type Normal, others of type Warning."""

    BACKEND_UNREACHABLE = "BackendUnreachable"
    """A check failed: no session can be saved, or none of the sidecars that start now is ready."""

    BACKEND_RECOVERED = "BackendRecovered"
    """A check succeeded after one that failed."""

    SIDECAR_MISSING = "SidecarMissing"
    """Pods with the label run without the sidecar: the webhook was not asked."""

    CONFIG_INVALID = "ConfigInvalid"
    """The operator cannot read the spec: what was before stays in force."""

    APPLY_FAILED = "ApplyFailed"
    """The API server refuses a child, as for a quota or a policy."""

    PURGE_COMPLETED = "PurgeCompleted"
    """A purge did all that was to do."""

    PURGE_FAILED = "PurgeFailed"
    """A purge failed or was cut short; the next one goes on."""

    PURGE_OVERDUE = "PurgeOverdue"
    """No purge ran when one was due."""

    RESTART_REQUIRED = "RestartRequired"
    """Pods run an older sidecar than new ones would get; nobody restarts them but you."""


NORMAL: Final = frozenset(
    {Reason.BACKEND_RECOVERED, Reason.PURGE_COMPLETED, Reason.RESTART_REQUIRED}
)


class Notice(Struct, frozen=True):
    """An Event to be: `note` is its sentence."""

    reason: Reason
    note: str

    @property
    def type(self) -> str:
        return "Normal" if self.reason in NORMAL else "Warning"


def events_of(previous: SessionClusterStatus, new: SessionClusterStatus) -> tuple[Notice, ...]:
    """What to tell of one change; nothing that was told of before."""
    return tuple(_notices(_Change(previous, new)))


class _Change(Struct, frozen=True):
    previous: SessionClusterStatus
    new: SessionClusterStatus

    def condition(self, name: str) -> tuple[Condition | None, Condition]:
        return _named(self.previous, name), _expected(self.new, name)

    def begins(self, name: str, reason: str) -> bool:
        """Whether the condition has that reason, and had it not before."""
        before, now = self.condition(name)
        return now.reason == reason and (before is None or before.reason != reason)


def _notices(change: _Change) -> Iterator[Notice]:
    ready = _expected(change.new, READY)
    for reason in (Reason.CONFIG_INVALID, Reason.APPLY_FAILED):
        if change.begins(READY, reason):
            yield Notice(reason, ready.message)
    yield from _backend(*change.condition(BACKEND_READY))
    if change.begins(WORKERS_READY, Reason.SIDECAR_MISSING):
        yield Notice(Reason.SIDECAR_MISSING, _expected(change.new, WORKERS_READY).message)
    yield from _purge(change)
    if change.begins(SIDECARS_UP_TO_DATE, Reason.RESTART_REQUIRED):
        yield Notice(Reason.RESTART_REQUIRED, _expected(change.new, SIDECARS_UP_TO_DATE).message)


def _backend(before: Condition | None, now: Condition) -> Iterator[Notice]:
    was_bad = before is not None and before.status is ConditionStatus.FALSE
    if now.status is ConditionStatus.FALSE:
        if before is None or not was_bad or before.reason != now.reason:
            yield Notice(Reason.BACKEND_UNREACHABLE, f"{now.reason}: {now.message}")
    elif was_bad and now.status is ConditionStatus.TRUE:
        yield Notice(Reason.BACKEND_RECOVERED, now.message)


def _purge(change: _Change) -> Iterator[Notice]:
    before, now = change.previous.purge, change.new.purge
    condition = _expected(change.new, PURGE_HEALTHY)
    if change.begins(PURGE_HEALTHY, "Overdue"):
        yield Notice(Reason.PURGE_OVERDUE, condition.message)
    if now is None or now.last_run == (before and before.last_run):
        return
    if now.last_success == now.last_run:
        note = (
            f"Deleted {now.invalid_deleted} tombstones and {now.valid_deleted} expired sessions "
            f"in {now.duration_seconds:.1f} s."
        )
        yield Notice(Reason.PURGE_COMPLETED, note)
    else:
        is_told = condition.reason not in NOT_OF_A_RUN
        note = f"{condition.reason}: {condition.message}" if is_told else "The last purge failed."
        yield Notice(Reason.PURGE_FAILED, note)


def _named(status: SessionClusterStatus, name: str) -> Condition | None:
    return next((each for each in status.conditions if each.type == name), None)


def _expected(status: SessionClusterStatus, name: str) -> Condition:
    found = _named(status, name)
    if found is None:
        raise ValueError(f"the status has no condition {name}")
    return found
