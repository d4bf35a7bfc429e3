from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moorline_api.decoding import decode_spec
from moorline_operator.status import CheckPlan, JobFacts, plan_checks
from moorline_operator.status.checks import retry_delay

from tests.operator.status.facts import CHECKED, MONGODB, NOW, a_check

SPEC = decode_spec({"backend": MONGODB})


def ago(seconds: float, reason: str = "Unreachable", attempt: int = 0) -> JobFacts:
    return a_check(reason, attempt=attempt, ended=NOW - timedelta(seconds=seconds))


def under_way(attempt: int = 0, checked: str = CHECKED) -> JobFacts:
    return a_check(attempt=attempt, ended=None, outcome=None, checked=checked)


OTHER = a_check(checked="another")


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        ([], CheckPlan(attempt=0)),
        ([under_way()], CheckPlan()),
        ([ago(1000, "Ready")], CheckPlan()),
        ([ago(29)], CheckPlan(again_after=timedelta(seconds=1))),
        ([ago(30)], CheckPlan(attempt=1)),
        ([ago(-3600)], CheckPlan(again_after=timedelta(seconds=30))),
        ([ago(99, attempt=5)], CheckPlan(again_after=timedelta(seconds=501))),
        ([ago(600, attempt=5000)], CheckPlan(attempt=5001)),
        ([OTHER], CheckPlan(attempt=0, outdated=(OTHER,))),
        ([under_way(checked="x")], CheckPlan(attempt=0, outdated=(under_way(checked="x"),))),
        ([ago(99), under_way(1)], CheckPlan()),
        ([ago(99), ago(1, "Ready", 1)], CheckPlan(outdated=(ago(99),))),
    ],
    ids=[
        "first",
        "under-way",
        "ready",
        "too-early",
        "again",
        "clocks-apart",
        "ever-rarer",
        "every-ten-minutes",
        "another-backend",
        "another-backend-under-way",
        "keeps-the-last-word",
        "keeps-only-the-last-word",
    ],
)
def test_checks_are_made_until_one_succeeds(jobs: list[JobFacts], expected: CheckPlan) -> None:
    assert plan_checks(SPEC, CHECKED, jobs, NOW) == expected


def test_memory_is_never_checked() -> None:
    memory = decode_spec({"backend": {"type": "Memory"}})
    assert plan_checks(memory, CHECKED, [], NOW) == CheckPlan()
    assert plan_checks(memory, CHECKED, [OTHER], NOW) == CheckPlan(outdated=(OTHER,))


@pytest.mark.parametrize("kind", ["File", "SQLite"])
def test_what_no_job_can_reach_is_never_checked(kind: str) -> None:
    spec = decode_spec({"backend": {"type": kind, kind.lower(): {}}})
    assert plan_checks(spec, CHECKED, [OTHER], NOW) == CheckPlan(outdated=(OTHER,))


def test_nothing_is_done_while_suspended() -> None:
    suspended = decode_spec({"backend": MONGODB, "suspend": True})
    assert plan_checks(suspended, CHECKED, [OTHER], NOW) == CheckPlan()


def test_attempts_become_rarer_up_to_ten_minutes() -> None:
    seconds = [retry_delay(attempt).total_seconds() for attempt in range(7)]
    assert seconds == [30, 60, 120, 240, 480, 600, 600]


@given(st.integers(min_value=60, max_value=200_000), st.integers(min_value=1, max_value=119))
def test_a_backend_that_stays_away_costs_few_checks_and_two_jobs(life: int, length: int) -> None:
    jobs: list[JobFacts] = []
    now, end, made = NOW, NOW + timedelta(seconds=life), 0
    while now < end:
        plan = plan_checks(SPEC, CHECKED, jobs, now)
        jobs = [job for job in jobs if job not in plan.outdated]
        if plan.attempt is not None:
            jobs.append(under_way(plan.attempt))
            made += 1
            now += timedelta(seconds=length)
            jobs[-1] = a_check("Unreachable", attempt=plan.attempt, ended=now)
        else:
            assert plan.again_after is not None
            now += plan.again_after
        assert len(jobs) <= 2
    assert made <= 6 + life / 600
    assert (
        plan_checks(SPEC, CHECKED, [msgspec.structs.replace(jobs[-1], **GOOD)], now) == CheckPlan()
    )


GOOD = {"has_succeeded": True, "outcome": None}
