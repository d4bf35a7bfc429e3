from datetime import timedelta

import pytest
from moorline_api.status import PurgeStatus
from moorline_operator import naming
from moorline_operator.status import (
    CronFacts,
    JobFacts,
    due_token,
    status_of,
)

from tests.operator.status.facts import (
    CUT_SHORT,
    NOW,
    a_purge,
    condition,
    daily,
    failed,
    named,
    observed,
)


@pytest.mark.parametrize(
    ("jobs", "status", "reason", "part"),
    [
        ([], "Unknown", "NotYetRun", "No purge"),
        ([a_purge(ended=None)], "Unknown", "NotYetRun", "No purge"),
        ([a_purge()], "True", "LastRunSucceeded", "deleted 120 tombstones and 4 expired sessions"),
        ([a_purge(outcome=None)], "True", "LastRunSucceeded", "succeeded"),
        ([a_purge(outcome=CUT_SHORT)], "False", "Incomplete", "deleted 5 tombstones"),
        ([failed()], "False", "BackoffLimitExceeded", "kubectl -n web logs job/shop-moorline"),
        ([failed(reason="DeadlineExceeded")], "False", "DeadlineExceeded", "logs"),
        ([failed(exit_code=3)], "False", "BackendUnreachable", "could not reach the backend"),
        ([failed(exit_code=2)], "False", "InvalidConfiguration", "cannot run with this spec"),
        ([failed(reason="OOMKilled")], "False", "OOMKilled", "resources.limits.memory"),
        ([failed(ended=NOW - timedelta(hours=1)), a_purge()], "True", "LastRunSucceeded", ""),
        ([a_purge(ended=NOW - timedelta(hours=1)), failed()], "False", "BackoffLimitExceeded", ""),
    ],
    ids=[
        "none",
        "under-way",
        "good",
        "good-and-mute",
        "cut-short",
        "failed",
        "too-long",
        "unreachable",
        "wrong-spec",
        "out-of-memory",
        "good-again",
        "failed-again",
    ],
)
def test_the_last_purge_decides(jobs: list[JobFacts], status: str, reason: str, part: str) -> None:
    found = condition(observed(jobs=jobs), "PurgeHealthy")
    assert (found.status, found.reason) == (status, reason)
    assert part in found.message


@pytest.mark.parametrize("kind", ["File", "SQLite"])
def test_where_no_purge_can_reach_it_is_said_how_to_purge(kind: str) -> None:
    spec = {"backend": {"type": kind, kind.lower(): {}}}
    found = condition(observed(spec), "PurgeHealthy")
    assert (found.status, found.reason) == ("Unknown", "OnPodVolume")
    assert "exec POD -c moorline -- moorline-sidecar purge" in found.message


def test_a_suspended_purge_says_so() -> None:
    found = condition(observed({"purge": {"suspend": True}}, jobs=[failed()]), "PurgeHealthy")
    assert (found.status, found.reason) == ("Unknown", "Suspended")


@pytest.mark.parametrize(
    ("cron", "jobs", "is_overdue"),
    [
        (None, [], False),
        (daily(1), [], False),
        (daily(3), [], True),
        (daily(3), [a_purge(ended=NOW - timedelta(days=1))], False),
        (daily(300), [a_purge(ended=NOW - timedelta(days=3))], True),
        (daily(300), [failed(ended=NOW - timedelta(days=3))], True),
        (daily(3), [a_purge(ended=None)], False),
        (daily(0.1), [a_purge(ended=NOW - timedelta(days=300))], False),
        (CronFacts(schedule="0 0 30 2 *", since=NOW - timedelta(days=999)), [], False),
    ],
    ids=[
        "no-cron-job",
        "young",
        "never-ran",
        "ran",
        "stopped",
        "stopped-after-a-failure",
        "runs",
        "schedule-just-changed",
        "never-due",
    ],
)
def test_a_purge_that_is_not_started_is_overdue(
    cron: CronFacts | None, jobs: list[JobFacts], *, is_overdue: bool
) -> None:
    found = condition(observed(cron=cron, jobs=jobs), "PurgeHealthy")
    assert (found.reason == "Overdue") is is_overdue


def test_an_overdue_purge_stays_one_sentence() -> None:
    messages = {
        condition(observed(cron=daily(3), now=NOW + timedelta(hours=hours)), "PurgeHealthy").message
        for hours in range(48)
    }
    # The days it is young enough not to count are left out by the schedule's own time.
    assert len(messages - {"No purge has ended yet."}) <= 2


def test_a_failed_purge_keeps_what_the_last_good_one_did() -> None:
    before = status_of(observed(jobs=[a_purge(ended=NOW - timedelta(days=1))]))
    after = status_of(observed(previous=before, jobs=[failed()])).purge
    assert after == PurgeStatus(
        last_run="2026-11-22T08:00:00Z",
        last_success="2026-11-21T08:00:00Z",
        invalid_deleted=120,
        valid_deleted=4,
        duration_seconds=2.5,
    )


@pytest.mark.parametrize("job", [a_purge(), failed(exit_code=3)], ids=["good", "failed"])
def test_what_a_purge_told_stays_known_when_its_job_is_gone(job: JobFacts) -> None:
    before = status_of(observed(jobs=[job]))
    assert status_of(observed(previous=before, now=NOW + timedelta(hours=3))) == before


@pytest.mark.parametrize(
    ("job", "reason"), [(a_purge(), "LastRunSucceeded"), (failed(), "JobFailed")]
)
def test_the_last_run_counts_again_after_a_suspension(job: JobFacts, reason: str) -> None:
    before = status_of(observed({"purge": {"suspend": True}}, jobs=[job]))
    assert condition(observed(previous=before), "PurgeHealthy").reason == reason


def test_an_older_job_does_not_bring_old_news() -> None:
    before = status_of(observed(jobs=[failed()]))
    older = a_purge(ended=NOW - timedelta(days=1))
    after = status_of(observed(previous=before, jobs=[older]))
    assert after.purge == before.purge
    assert named(after, "PurgeHealthy").reason == "BackoffLimitExceeded"


@pytest.mark.parametrize(
    ("token", "handled", "due"),
    [
        ("", "", ""),
        ("1", "", "1"),
        ("1", "1", ""),
        ("2", "1", "2"),
        ("", "1", ""),
        (300 * "t", 256 * "t", ""),
    ],
    ids=["none", "new", "handled", "another", "taken-away", "long"],
)
def test_a_token_is_due_once(token: str, handled: str, due: str) -> None:
    assert due_token(token, PurgeStatus(handled_token=handled)) == due


def test_a_token_is_handled_when_its_job_is_there() -> None:
    job = a_purge(name=naming.purge_job("shop", "t1"), ended=None)
    with_job = status_of(observed(purge_token="t1", jobs=[job]))
    assert with_job.purge is not None
    assert with_job.purge.handled_token == "t1"
    assert status_of(observed(purge_token="t1")).purge == PurgeStatus()
    assert status_of(observed(previous=with_job, purge_token="t2")).purge == with_job.purge
    assert due_token("t1", None) == "t1"
