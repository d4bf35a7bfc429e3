"""Facts as the status is made of them, with as much said as a case needs."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from moorline_api.decoding import decode_spec
from moorline_api.status import Condition, SessionClusterStatus
from moorline_operator.pods import PodRecord
from moorline_operator.status import (
    CheckOutcome,
    CronFacts,
    JobFacts,
    Observed,
    PurgeOutcome,
    status_of,
)

NOW: Final = datetime(2026, 11, 22, 8, 0, 0, tzinfo=UTC)
MONGODB: Final = {"type": "MongoDB", "mongodb": {"connectionSecretRef": {"name": "shop-mongodb"}}}
CHECKED: Final = "0a1b2c3d"
INJECTED: Final = "new"


def observed(spec: dict[str, Any] | None = None, **facts: Any) -> Observed:  # noqa: ANN401 - facts of any kind
    """A cluster with everything applied and nothing else; `spec` beside MongoDB."""
    return Observed(
        **{
            "namespace": "web",
            "name": "shop",
            "generation": 3,
            "now": NOW,
            "previous": SessionClusterStatus(),
            "spec": decode_spec({"backend": MONGODB, **(spec or {})}),
            "config_generation": 3,
            "injected": INJECTED,
            "checked": CHECKED,
            "sidecar_image": "sidecar:1",
            **facts,
        }
    )


def unreadable(**facts: Any) -> Observed:  # noqa: ANN401 - facts of any kind
    """A cluster whose spec this operator cannot read."""
    mistakes = ("spec.x: unknown", "spec.y: wrong")
    return msgspec.structs.replace(observed(), **{"spec": None, "mistakes": mistakes, **facts})


def a_record(name: str = "shop-1", **facts: Any) -> PodRecord:  # noqa: ANN401 - facts of any kind
    """A worker that is ready."""
    return PodRecord(
        **{
            "namespace": "web",
            "name": name,
            "uid": f"uid-of-{name}",
            "cluster": "shop",
            "worker": f"node{name}",
            "injected": INJECTED,
            "has_sidecar": True,
            "gate": None,
            "owner": ("Deployment", "shop"),
            "ordinal": None,
            "is_finished": False,
            "is_ready": True,
            "is_deleting": False,
            **facts,
        }
    )


def a_check(told: str = "Ready", *, attempt: int = 0, **facts: Any) -> JobFacts:  # noqa: ANN401 - facts of any kind
    """A check that has ended, and told this reason."""
    is_ok = told == "Ready"
    outcome = CheckOutcome(is_ok=is_ok, reason=told, detail="it was so", server="MongoDB 8.0.4")
    return JobFacts(
        **{
            "name": f"shop-moorline-check-{attempt}",
            "uid": f"uid-of-check-{attempt}",
            "task": "check",
            "checked": CHECKED,
            "attempt": attempt,
            "ended": NOW,
            "has_succeeded": is_ok,
            "reason": "" if is_ok else "BackoffLimitExceeded",
            "exit_code": 0 if is_ok else 1,
            "outcome": outcome,
            **facts,
        }
    )


def a_purge(**facts: Any) -> JobFacts:  # noqa: ANN401 - facts of any kind
    """A purge that has succeeded."""
    outcome = PurgeOutcome(
        invalid_deleted=120, valid_deleted=4, duration_seconds=2.5, is_complete=True
    )
    return JobFacts(
        **{
            "name": "shop-moorline-purge-1",
            "uid": "uid-of-purge",
            "task": "purge",
            "ended": NOW,
            "has_succeeded": True,
            "exit_code": 0,
            "outcome": outcome,
            **facts,
        }
    )


CUT_SHORT = PurgeOutcome(
    invalid_deleted=5, valid_deleted=0, duration_seconds=3570.0, is_complete=False
)


def failed(**facts: Any) -> JobFacts:  # noqa: ANN401 - facts of any kind
    """A purge that has failed."""
    nothing = {"has_succeeded": False, "outcome": None, "reason": "BackoffLimitExceeded"}
    return a_purge(**{**nothing, "exit_code": 1, **facts})


def daily(since_days: float) -> CronFacts:
    """The CronJob of every day, as it is for so many days."""
    return CronFacts(schedule="58 3 * * *", since=NOW - timedelta(days=since_days))


def condition(facts: Observed, name: str) -> Condition:
    return named(status_of(facts), name)


def named(status: SessionClusterStatus, name: str) -> Condition:
    [found] = [each for each in status.conditions if each.type == name]
    return found
