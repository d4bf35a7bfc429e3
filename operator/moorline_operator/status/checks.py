"""When the backend is checked: at once when it is another one, and again until it is ready."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from moorline_api.choices import BackendType
from moorline_api.model import SessionClusterSpec
from msgspec import Struct

from moorline_operator import naming
from moorline_operator.container import data_folder
from moorline_operator.status.facts import CheckOutcome, JobFacts

FIRST_DELAY: Final = timedelta(seconds=30)
LONGEST_DELAY: Final = timedelta(minutes=10)


class CheckPlan(Struct, frozen=True, kw_only=True):
    """What to do about checks.

    `attempt` is that of the Job to create now, None if none is. `again_after` is when to plan
    anew though nothing was seen. `outdated` are Jobs to delete.
    """

    attempt: int | None = None
    again_after: timedelta | None = None
    outdated: tuple[JobFacts, ...] = ()


def plan_checks(
    spec: SessionClusterSpec, checked: str, jobs: Iterable[JobFacts], now: datetime
) -> CheckPlan:
    """The plan for what `checked` is the fingerprint of, with the Jobs that are there.

    Attempts are as far apart as `retry_delay` says, and no two are under way.
    """
    if spec.suspend:
        return CheckPlan()
    checks = [job for job in jobs if job.task == naming.CHECK_TASK]
    if spec.backend.type is BackendType.MEMORY or data_folder(spec.backend) is not None:
        return CheckPlan(outdated=tuple(checks))
    current = sorted(_of(checked, checks), key=lambda job: job.attempt)
    ended = [job for job in current if job.ended is not None]
    outdated = tuple(job for job in checks if job not in current or job in ended[:-1])
    if not current:
        return CheckPlan(attempt=0, outdated=outdated)
    if current != ended or is_good(ended[-1]):
        return CheckPlan(outdated=outdated)
    wait = _wait(ended[-1], now)
    if wait <= timedelta(0):
        return CheckPlan(attempt=ended[-1].attempt + 1, outdated=outdated)
    return CheckPlan(again_after=wait, outdated=outdated)


def last_ended(checked: str, jobs: Iterable[JobFacts]) -> JobFacts | None:
    """The latest attempt of that fingerprint that has ended."""
    ended = (job for job in _of(checked, jobs) if job.ended is not None)
    return max(ended, key=lambda job: job.attempt, default=None)


def running(checked: str, jobs: Iterable[JobFacts]) -> JobFacts | None:
    """The attempt of that fingerprint that is under way."""
    return next((job for job in _of(checked, jobs) if job.ended is None), None)


def is_good(job: JobFacts) -> bool:
    """Whether a check found the backend ready; without a word of it, the Job's own end counts."""
    outcome = job.outcome
    return job.has_succeeded and not (isinstance(outcome, CheckOutcome) and not outcome.is_ok)


def retry_delay(attempt: int) -> timedelta:
    """From the end of an attempt, counted from 0, to the next."""
    doublings = min(attempt, 16)
    return min(FIRST_DELAY * (1 << doublings), LONGEST_DELAY)


def _of(checked: str, jobs: Iterable[JobFacts]) -> list[JobFacts]:
    return [job for job in jobs if job.task == naming.CHECK_TASK and job.checked == checked]


def _wait(job: JobFacts, now: datetime) -> timedelta:
    """Never longer than the delay, however far apart the clocks are."""
    delay = retry_delay(job.attempt)
    since = now - job.ended if job.ended is not None else timedelta(0)
    return min(delay - since, delay)
