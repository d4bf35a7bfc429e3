"""The status of a SessionCluster, as a function of what was observed.

The same observation gives the same status at any time but for `lastTransitionTime`, which only
moves with `status` of its condition: so nothing is written while nothing happens.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from moorline_api.status import Condition, ConditionStatus, SessionClusterStatus

from moorline_operator.status.backend import backend_finding
from moorline_operator.status.facts import Finding, Observed, bad, good, unknown
from moorline_operator.status.purges import purge_finding, purge_status, timestamp
from moorline_operator.status.workers import (
    live,
    sidecars_finding,
    workers_finding,
    workers_status,
)

READY: Final = "Ready"
BACKEND_READY: Final = "BackendReady"
WORKERS_READY: Final = "WorkersReady"
PURGE_HEALTHY: Final = "PurgeHealthy"
SIDECARS_UP_TO_DATE: Final = "SidecarsUpToDate"

_MESSAGE_CHARACTERS: Final = 4_000
"""The schema allows 4,096."""

_FIELDS: Final = {
    field.encode_name: field for field in msgspec.structs.fields(SessionClusterStatus)
}


def status_of(observed: Observed) -> SessionClusterStatus:
    before = {condition.type: condition for condition in observed.previous.conditions}
    pods = live(observed.pods)
    purge = purge_status(observed)
    injected = observed.injected if observed.spec is not None else ""
    is_suspended = observed.spec is not None and observed.spec.suspend
    workers = workers_finding(observed.namespace, pods, is_suspended=is_suspended)
    if observed.spec is None:
        backend = healthy = sidecars = _unread()
    else:
        backend = backend_finding(observed, observed.spec, before.get(BACKEND_READY))
        healthy = purge_finding(observed, observed.spec, purge, before.get(PURGE_HEALTHY))
        sidecars = sidecars_finding(observed.namespace, pods, injected)
    ready = _summary(_config_finding(observed), backend, workers, is_suspended=is_suspended)
    findings = {
        READY: ready,
        BACKEND_READY: backend,
        WORKERS_READY: workers,
        PURGE_HEALTHY: healthy,
        SIDECARS_UP_TO_DATE: sidecars,
    }
    return SessionClusterStatus(
        observed_generation=observed.generation,
        conditions=tuple(
            _condition(observed, name, finding, before.get(name))
            for name, finding in findings.items()
        ),
        workers=workers_status(pods, injected),
        purge=purge,
        sidecar_image=observed.sidecar_image or observed.previous.sidecar_image,
    )


def status_object(status: SessionClusterStatus) -> dict[str, Any]:
    """The status as JSON, without what is absent: equal statuses give equal objects."""
    found: dict[str, Any] = _without_null(msgspec.to_builtins(status))
    return found


def previous_status(obj: Mapping[str, Any]) -> SessionClusterStatus:
    """The status that an object of the API server has; parts that cannot be read count as absent.

    Another version of the operator may have written it.
    """
    raw = obj.get("status", {})
    parts = {}
    for name in raw.keys() & _FIELDS.keys():
        field = _FIELDS[name]
        try:
            parts[field.name] = msgspec.convert(raw[name], field.type)
        except msgspec.ValidationError:
            continue
    return SessionClusterStatus(**parts)


def _unread() -> Finding:
    return unknown("ConfigInvalid", "The spec cannot be read; see the condition Ready.")


def _config_finding(observed: Observed) -> Finding:
    if observed.spec is None:
        return bad("ConfigInvalid", f"Correct the spec: {'; '.join(observed.mistakes)}")
    if observed.refusal:
        return bad("ApplyFailed", f"A child cannot be written: {observed.refusal}")
    if observed.config_generation != observed.generation and not observed.spec.suspend:
        return unknown("ConfigPending", "The children are being brought up to date.")
    return good("Applied", "The children are up to date.")


def _summary(*findings: Finding, is_suspended: bool) -> Finding:
    """The first that is False, else the first that is Unknown, else True."""
    for status in (ConditionStatus.FALSE, ConditionStatus.UNKNOWN):
        for finding in findings:
            if finding.status is status:
                return finding
    if is_suspended:
        message = "spec.suspend is true: children and worker names are left as they are."
        return unknown("Suspended", message)
    _, backend, workers = findings
    return good("AllReady", f"{backend.message} {workers.message}")


def _condition(
    observed: Observed, name: str, finding: Finding, before: Condition | None
) -> Condition:
    is_new = before is None or before.status is not finding.status
    message = finding.message
    if len(message) > _MESSAGE_CHARACTERS:
        message = f"{message[: _MESSAGE_CHARACTERS - 1]}…"
    return Condition(
        type=name,
        status=finding.status,
        reason=finding.reason,
        message=message,
        last_transition_time=(
            timestamp(observed.now) if before is None or is_new else before.last_transition_time
        ),
        observed_generation=observed.generation,
    )


def _without_null(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return {name: _without_null(each) for name, each in value.items() if each is not None}
    if isinstance(value, list | tuple):
        return [_without_null(each) for each in value]
    return value
