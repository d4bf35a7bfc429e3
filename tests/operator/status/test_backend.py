from datetime import timedelta
from typing import Any

import msgspec
import pytest
from moorline_operator.status import CheckOutcome, JobFacts, status_of
from moorline_operator.status.backend import CHECK_REASONS

from tests.operator.status.facts import MONGODB, NOW, a_check, condition, named, observed

REASONS = sorted(CHECK_REASONS)


@pytest.mark.parametrize(
    ("jobs", "status", "reason"),
    [
        ([], "Unknown", "Checking"),
        ([a_check(ended=None, outcome=None)], "Unknown", "Checking"),
        ([a_check()], "True", "Ready"),
        ([a_check("Unreachable")], "False", "Unreachable"),
        ([a_check("Unreachable"), a_check(attempt=1)], "True", "Ready"),
        ([a_check("Unreachable"), a_check(attempt=1, ended=None)], "False", "Unreachable"),
        ([a_check(checked="another")], "Unknown", "Checking"),
        ([a_check(outcome=None)], "True", "Ready"),
        ([a_check("X", outcome=None)], "False", "CheckFailed"),
        ([a_check("X", outcome=None, reason="DeadlineExceeded")], "False", "CheckTimedOut"),
        ([a_check("NewWordOfANewerSidecar")], "False", "NewWordOfANewerSidecar"),
        ([a_check(has_succeeded=False)], "False", "CheckFailed"),
        ([a_check("Unreachable", has_succeeded=True)], "False", "Unreachable"),
    ],
    ids=[
        "none-yet",
        "under-way",
        "ready",
        "failed",
        "recovered",
        "failed-and-tried-again",
        "of-another-backend",
        "told-nothing-and-succeeded",
        "told-nothing-and-failed",
        "timed-out",
        "unknown-word",
        "says-ready-and-failed",
        "says-failed-and-succeeded",
    ],
)
def test_the_last_check_decides(jobs: list[JobFacts], status: str, reason: str) -> None:
    found = condition(observed(jobs=jobs), "BackendReady")
    assert (found.status, found.reason) == (status, reason)


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_says_what_to_do(reason: str) -> None:
    found = condition(observed(jobs=[a_check(reason)]), "BackendReady")
    assert found.reason == reason
    assert found.message.endswith((".", "by itself."))
    assert len(found.message) > len("It was so.")


def test_a_missing_secret_is_named() -> None:
    found = condition(observed(jobs=[a_check("SecretNotFound")]), "BackendReady")
    assert found.message == (
        "There is no Secret web/shop-mongodb, or it is empty. Create it with the connection URI "
        "under the key uri; the backend is checked again by itself."
    )


def test_a_missing_key_is_named() -> None:
    reference = {"name": "db", "key": "url"}
    spec = {"backend": {"type": "MongoDB", "mongodb": {"connectionSecretRef": reference}}}
    found = condition(observed(spec, jobs=[a_check("SecretKeyMissing")]), "BackendReady")
    assert found.message == (
        "The Secret web/db holds no connection URI under the key url. Add it; the backend is "
        "checked again by itself."
    )


def test_a_uri_that_cannot_be_used_is_not_told_as_a_missing_one() -> None:
    detail = "the connection URI cannot be used; expected is postgresql://host/database"
    outcome = CheckOutcome(is_ok=False, reason="SecretKeyMissing", detail=detail)
    job = msgspec.structs.replace(a_check("SecretKeyMissing"), outcome=outcome)
    found = condition(observed(jobs=[job]), "BackendReady")
    assert found.message == (
        "The connection URI cannot be used; expected is postgresql://host/database. Correct it in "
        "the Secret web/shop-mongodb; the backend is checked again by itself."
    )


def test_a_spec_without_a_secret_is_told_to_have_one() -> None:
    spec = {"backend": {"type": "MongoDB", "mongodb": {}}}
    found = condition(observed(spec, jobs=[a_check("InvalidConfiguration")]), "BackendReady")
    assert "set spec.backend.mongodb.connectionSecretRef" in found.message


def test_memory_needs_no_check() -> None:
    found = condition(observed({"backend": {"type": "Memory"}}), "BackendReady")
    assert (found.status, found.reason) == ("True", "InMemory")


@pytest.mark.parametrize("kind", ["File", "SQLite"])
def test_what_lies_on_a_volume_of_the_pods_is_checked_by_their_sidecars(kind: str) -> None:
    found = condition(observed({"backend": {"type": kind, kind.lower(): {}}}), "BackendReady")
    assert (found.status, found.reason) == ("True", "OnPodVolume")
    assert "moorline-data" in found.message


def test_of_a_suspended_cluster_it_is_said_that_nobody_looks() -> None:
    found = condition(observed({"backend": MONGODB, "suspend": True}), "BackendReady")
    assert (found.status, found.reason) == ("Unknown", "Suspended")


def test_a_check_that_does_not_start_says_why() -> None:
    job = a_check(ended=None, outcome=None, stuck="ImagePullBackOff: no such image")
    found = condition(observed(jobs=[job]), "BackendReady")
    assert found.message == "The check does not start: ImagePullBackOff: no such image"


def test_a_check_that_never_starts_goes_on_saying_why() -> None:
    stuck = a_check(ended=None, outcome=None, stuck="Unschedulable: no node")
    timed_out = a_check("X", outcome=None, reason="DeadlineExceeded")
    before = status_of(observed(jobs=[stuck]))
    for jobs in ([timed_out], [timed_out, a_check(attempt=1, ended=None, outcome=None)]):
        before = status_of(observed(previous=before, jobs=jobs))
        found = named(before, "BackendReady")
        assert found.reason == "CheckTimedOut"
        assert found.message == "The check does not start: Unschedulable: no node"
    retried = a_check(attempt=1, ended=None, outcome=None, stuck="Unschedulable: no room")
    found = condition(observed(previous=before, jobs=[timed_out, retried]), "BackendReady")
    assert found.message == "The check does not start: Unschedulable: no room"


@pytest.mark.parametrize(
    ("facts", "reason"),
    [({"checked": "of-a-newer-image"}, "Ready"), ({"generation": 4, "checked": "x"}, "Checking")],
    ids=["same-spec", "another-spec"],
)
def test_the_last_word_holds_while_the_same_spec_is_checked_anew(
    facts: dict[str, Any], reason: str
) -> None:
    before = status_of(observed(jobs=[a_check()]))
    found = condition(observed(previous=before, jobs=[a_check()], **facts), "BackendReady")
    assert found.reason == reason


def test_what_a_pod_told_stays_known_when_the_pod_is_gone() -> None:
    before = status_of(observed(jobs=[a_check()]))
    later = observed(previous=before, jobs=[a_check(outcome=None)], now=NOW + timedelta(days=1))
    assert status_of(later) == before


def test_a_detail_is_a_sentence() -> None:
    outcome = CheckOutcome(is_ok=False, reason="NotPrimary", detail="")
    job = msgspec.structs.replace(a_check("NotPrimary"), outcome=outcome)
    found = condition(observed(jobs=[job]), "BackendReady")
    assert found.message == CHECK_REASONS["NotPrimary"]
