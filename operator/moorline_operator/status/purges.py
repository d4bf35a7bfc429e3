"""What purges told: `status.purge` and the condition PurgeHealthy."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from moorline_api.model import SessionClusterSpec
from moorline_api.status import Condition, PurgeStatus

from moorline_operator import naming
from moorline_operator.container import data_folder
from moorline_operator.desired.task_pod import WRONG_CONFIGURATION
from moorline_operator.status.cron import next_time
from moorline_operator.status.facts import (
    Finding,
    JobFacts,
    Observed,
    PurgeOutcome,
    bad,
    good,
    sentence,
    unknown,
)

LATE: Final = timedelta(hours=26)
"""From the time of the schedule to `Overdue`: a day for its time zone, which is not looked up,
and two hours for a late start and a long run."""

TOKEN_CHARACTERS: Final = 256
"""What `status.purge.handledToken` has room for."""

UNREACHABLE: Final = 3
"""The sidecar's exit code when the store is out of reach."""

_BY_EXIT_CODE: Final = {
    UNREACHABLE: ("BackendUnreachable", "The last purge could not reach the backend."),
    WRONG_CONFIGURATION: ("InvalidConfiguration", "The last purge cannot run with this spec."),
}

_ON_POD_VOLUME: Final = (
    "Sessions are on a volume of the pods, which no Job of Moorline's can reach, and what has "
    "ended stays there until it is purged: kubectl -n {namespace} exec POD -c moorline -- "
    "moorline-sidecar purge"
)

NOT_OF_A_RUN: Final = frozenset(
    {"OnPodVolume", "NotYetRun", "Suspended", "Overdue", "ConfigInvalid"}
)
"""Reasons of PurgeHealthy that say nothing of how a purge went."""


def due_token(token: str, purge: PurgeStatus | None) -> str:
    """The token of `moorline.io/purge-now` to run a purge for; "" if there is none to run."""
    handled = "" if purge is None else purge.handled_token
    return "" if token[:TOKEN_CHARACTERS] == handled else token


def purge_status(observed: Observed) -> PurgeStatus:
    """What is known by now; what Jobs told that are gone stays known."""
    known = _with_token(observed.previous.purge or PurgeStatus(), observed)
    last = last_purge(observed.jobs)
    if last is None or last.ended is None or _is_known(last.ended, known.last_run):
        return known
    ended = timestamp(last.ended)
    known = msgspec.structs.replace(known, last_run=ended)
    if not is_good(last):
        return known
    known = msgspec.structs.replace(known, last_success=ended)
    outcome = last.outcome
    if not isinstance(outcome, PurgeOutcome):
        return known
    return msgspec.structs.replace(
        known,
        invalid_deleted=outcome.invalid_deleted,
        valid_deleted=outcome.valid_deleted,
        duration_seconds=outcome.duration_seconds,
    )


def purge_finding(
    observed: Observed, spec: SessionClusterSpec, purge: PurgeStatus, before: Condition | None
) -> Finding:
    """The finding; `purge` is what `purge_status` knows, `before` what was written last."""
    if spec.purge.suspend:
        message = "spec.purge.suspend is true: no purge is started, and the backend grows."
        return unknown("Suspended", message)
    if data_folder(spec.backend) is not None:
        return unknown("OnPodVolume", _ON_POD_VOLUME.format(namespace=observed.namespace))
    due = _overdue(observed, purge)
    if due is not None:
        return bad("Overdue", _overdue_message(observed, due))
    if purge.last_run is None:
        return unknown("NotYetRun", "No purge has ended yet.")
    last = last_purge(observed.jobs)
    if last is not None and last.ended is not None and timestamp(last.ended) == purge.last_run:
        return _of_run(observed, last)
    return _of_gone_run(purge, before)


def last_purge(jobs: Iterable[JobFacts]) -> JobFacts | None:
    """The purge that ended last."""
    ended = [(job.ended, job) for job in jobs if job.task == naming.PURGE_TASK and job.ended]
    return max(ended, key=lambda pair: pair[0])[1] if ended else None


def is_good(job: JobFacts) -> bool:
    """Whether a purge did all that was to do; without a word of it, the Job's own end counts."""
    outcome = job.outcome
    return job.has_succeeded and not (isinstance(outcome, PurgeOutcome) and not outcome.is_complete)


def timestamp(instant: datetime) -> str:
    """As Kubernetes writes it, to the second."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _with_token(known: PurgeStatus, observed: Observed) -> PurgeStatus:
    token = observed.purge_token
    name = naming.purge_job(observed.name, token)
    if token and any(job.name == name for job in observed.jobs):
        return msgspec.structs.replace(known, handled_token=token[:TOKEN_CHARACTERS])
    return known


def _is_known(ended: datetime, last_run: str | None) -> bool:
    return last_run is not None and timestamp(ended) <= last_run


def _overdue(observed: Observed, purge: PurgeStatus) -> datetime | None:
    """The time of the schedule at which no purge ran; None if none was missed."""
    is_running = any(job.task == naming.PURGE_TASK and not job.ended for job in observed.jobs)
    if observed.cron is None or is_running:
        return None
    since = observed.cron.since
    if purge.last_run is not None:
        since = max(since, datetime.fromisoformat(purge.last_run))
    due = next_time(observed.cron.schedule, since)
    return due if due is not None and observed.now - due > LATE else None


def _overdue_message(observed: Observed, due: datetime) -> str:
    cron_job = naming.purge_cron_job(observed.name)
    return (
        f"The purge that was due about {timestamp(due)} has not run. Kubernetes starts it; to see "
        f"why it did not: kubectl -n {observed.namespace} describe cronjob {cron_job}"
    )


def _of_gone_run(purge: PurgeStatus, before: Condition | None) -> Finding:
    """The finding of a run whose Job is gone."""
    if before is not None and before.reason not in NOT_OF_A_RUN:
        return Finding(before.status, before.reason, before.message)
    if purge.last_run == purge.last_success:
        return good("LastRunSucceeded", "The last purge succeeded.")
    return bad("JobFailed", "The last purge failed.")


def _of_run(observed: Observed, job: JobFacts) -> Finding:
    if is_good(job):
        return good("LastRunSucceeded", _success(job))
    look = f"To see more: kubectl -n {observed.namespace} logs job/{job.name}"
    if job.has_succeeded:
        return bad(
            "Incomplete",
            f"{_success(job)} It had to end before it was done; the next one goes on. If that "
            f"happens again, purge more often. {look}",
        )
    if isinstance(job.outcome, PurgeOutcome) and job.outcome.reason:
        detail = job.outcome.detail or f"The last purge failed ({job.outcome.reason})"
        return bad(job.outcome.reason, f"{sentence(detail)} {look}")
    if job.exit_code in _BY_EXIT_CODE:
        reason, message = _BY_EXIT_CODE[job.exit_code]
        return bad(reason, f"{message} {look}")
    if job.reason == "OOMKilled":
        cure = "raise spec.purge.resources.limits.memory"
        return bad(job.reason, f"The last purge ran out of memory; {cure}.")
    return bad(job.reason, f"The last purge failed ({job.reason}). {look}")


def _success(job: JobFacts) -> str:
    outcome = job.outcome
    if not isinstance(outcome, PurgeOutcome):
        return "The last purge succeeded."
    return (
        f"The last purge deleted {outcome.invalid_deleted} tombstones and "
        f"{outcome.valid_deleted} expired sessions."
    )
