import pytest
from moorline_api.status import SessionClusterStatus
from moorline_operator.status import Observed, Reason, events_of, status_of

from tests.operator.status.facts import (
    CUT_SHORT,
    NOW,
    a_check,
    a_purge,
    a_record,
    daily,
    failed,
    observed,
    unreadable,
)

BARE = a_record(has_sidecar=False)
OLD = a_record(injected="old")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, observed(), []),
        (None, observed(jobs=[a_check()]), []),
        (None, observed(jobs=[a_check("TLSFailed")]), ["BackendUnreachable"]),
        (observed(jobs=[a_check()]), observed(jobs=[a_check("X")]), ["BackendUnreachable"]),
        (
            observed(jobs=[a_check("TLSFailed")]),
            observed(jobs=[a_check("NotPrimary")]),
            ["BackendUnreachable"],
        ),
        (observed(jobs=[a_check("X")]), observed(jobs=[a_check("X", attempt=1)]), []),
        (observed(jobs=[a_check("X")]), observed(jobs=[a_check()]), ["BackendRecovered"]),
        (observed(), observed(pods=[BARE]), ["SidecarMissing"]),
        (observed(pods=[BARE]), observed(pods=[BARE, a_record("2")]), []),
        (observed(), observed(pods=[OLD]), ["RestartRequired"]),
        (observed(pods=[OLD]), observed(), []),
        (observed(), unreadable(), ["ConfigInvalid"]),
        (unreadable(), observed(), []),
        (observed(), observed(refusal="quota"), ["ApplyFailed"]),
        (observed(), observed(jobs=[a_purge()]), ["PurgeCompleted"]),
        (observed(), observed(jobs=[failed()]), ["PurgeFailed"]),
        (observed(), observed(jobs=[a_purge(outcome=CUT_SHORT)]), ["PurgeFailed"]),
        (observed(jobs=[a_purge()]), observed(), []),
        (observed(), observed(cron=daily(3)), ["PurgeOverdue"]),
        (observed(cron=daily(3)), observed(cron=daily(4)), []),
    ],
    ids=[
        "first-sight",
        "first-check",
        "first-check-failed",
        "backend-lost",
        "another-trouble",
        "the-same-trouble",
        "backend-back",
        "bare-pod",
        "still-bare",
        "outdated",
        "restarted",
        "invalid",
        "valid-again",
        "refused",
        "purged",
        "purge-failed",
        "purge-cut-short",
        "job-gone",
        "overdue",
        "still-overdue",
    ],
)
def test_a_change_is_told_once(
    before: Observed | None, after: Observed, expected: list[str]
) -> None:
    previous = SessionClusterStatus() if before is None else status_of(before)
    facts = {name: getattr(after, name) for name in after.__struct_fields__}
    new = status_of(Observed(**{**facts, "previous": previous}))
    assert [notice.reason for notice in events_of(previous, new)] == expected
    assert events_of(new, new) == ()


def test_a_purge_tells_what_it_did() -> None:
    [notice] = events_of(status_of(observed()), status_of(observed(jobs=[a_purge()])))
    assert notice.note == "Deleted 120 tombstones and 4 expired sessions in 2.5 s."
    assert notice.type == "Normal"


def test_trouble_is_a_warning_that_says_why() -> None:
    [notice] = events_of(status_of(observed()), status_of(observed(jobs=[a_check("NotPrimary")])))
    assert (notice.reason, notice.type) == (Reason.BACKEND_UNREACHABLE, "Warning")
    assert notice.note.startswith("NotPrimary: It was so. Wait for the election")


def test_a_purge_of_a_suspended_schedule_is_told_of_too() -> None:
    suspended = {"purge": {"suspend": True}}
    before = status_of(observed(suspended))
    [notice] = events_of(before, status_of(observed(suspended, jobs=[failed(ended=NOW)])))
    assert notice.reason is Reason.PURGE_FAILED
    assert notice.note == "The last purge failed."
