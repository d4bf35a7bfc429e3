"""What was observed of a SessionCluster, in the words of its status.

facts.py ── results.py    what Jobs and pods told        checks.py   when to check again
deriving.py ── backend.py, workers.py, purges.py         one finding a condition
notices.py                which change is worth an Event
"""

from moorline_operator.status.checks import CheckPlan, plan_checks
from moorline_operator.status.deriving import previous_status, status_object, status_of
from moorline_operator.status.facts import (
    CheckOutcome,
    CronFacts,
    JobFacts,
    Observed,
    PurgeOutcome,
)
from moorline_operator.status.notices import Notice, Reason, events_of
from moorline_operator.status.purges import due_token
from moorline_operator.status.results import cron_facts, job_facts

__all__ = [
    "CheckOutcome",
    "CheckPlan",
    "CronFacts",
    "JobFacts",
    "Notice",
    "Observed",
    "PurgeOutcome",
    "Reason",
    "cron_facts",
    "due_token",
    "events_of",
    "job_facts",
    "plan_checks",
    "previous_status",
    "status_object",
    "status_of",
]
