import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moorline_api.status import SessionClusterStatus
from moorline_operator.status import (
    Observed,
    events_of,
    previous_status,
    status_object,
    status_of,
)

from tests.operator.status.facts import (
    NOW,
    a_check,
    a_purge,
    a_record,
    condition,
    named,
    observed,
    unreadable,
)

CONDITIONS = ["Ready", "BackendReady", "WorkersReady", "PurgeHealthy", "SidecarsUpToDate"]
GOOD: dict[str, Any] = {"jobs": [a_check(), a_purge()], "pods": [a_record()]}


@pytest.mark.parametrize(
    ("facts", "status", "reason", "message"),
    [
        (
            observed(**GOOD),
            "True",
            "AllReady",
            "The backend is in reach: MongoDB 8.0.4. 1 of 1 workers is ready.",
        ),
        (observed(jobs=[a_check()]), "True", "AllReady", None),
        (observed(jobs=[a_check("TLSFailed")]), "False", "TLSFailed", None),
        (observed(), "Unknown", "Checking", None),
        (observed(pods=[a_record(is_ready=False)]), "False", "NotReady", None),
        (observed(**GOOD, config_generation=2), "Unknown", "ConfigPending", None),
        (
            observed(**GOOD, refusal="cronjobs are forbidden"),
            "False",
            "ApplyFailed",
            "A child cannot be written: cronjobs are forbidden",
        ),
        (
            unreadable(**GOOD),
            "False",
            "ConfigInvalid",
            "Correct the spec: spec.x: unknown; spec.y: wrong",
        ),
        (observed({"suspend": True}, **GOOD), "Unknown", "Suspended", None),
        (observed({"suspend": True}, jobs=[a_check("NotPrimary")]), "False", "NotPrimary", None),
        (observed(**{**GOOD, "pods": [a_record(injected="old")]}), "True", "AllReady", None),
        (observed(**{**GOOD, "jobs": [a_check()]}), "True", "AllReady", None),
    ],
    ids=[
        "all-good",
        "no-pods",
        "backend",
        "unknown-backend",
        "workers-before-unknown",
        "pending",
        "refused",
        "invalid",
        "suspended",
        "suspended-and-failing",
        "outdated",
        "no-purge-yet",
    ],
)
def test_ready_sums_up(facts: Observed, status: str, reason: str, message: str | None) -> None:
    found = condition(facts, "Ready")
    assert (found.status, found.reason) == (status, reason)
    assert message in (None, found.message)


def test_every_condition_is_there_from_the_first_moment() -> None:
    for facts in (observed(), unreadable()):
        status = status_of(facts)
        assert [each.type for each in status.conditions] == CONDITIONS
        assert {each.observed_generation for each in status.conditions} == {3}
        assert all(each.message for each in status.conditions)


def test_counts_go_on_while_the_spec_cannot_be_read() -> None:
    workers = status_of(unreadable(pods=[a_record(injected="old")])).workers
    assert workers is not None
    assert (workers.selected, workers.outdated) == (1, 0)


def test_what_is_known_stays_known_while_the_spec_cannot_be_read() -> None:
    before = status_of(observed(**GOOD))
    after = status_of(unreadable(previous=before, sidecar_image=""))
    assert (after.purge, after.sidecar_image) == (before.purge, "sidecar:1")


def test_a_transition_is_when_the_status_changes_and_only_then() -> None:
    hour = timedelta(hours=1)
    first = status_of(observed(jobs=[a_check("TLSFailed")]))
    second = status_of(observed(previous=first, now=NOW + hour, jobs=[a_check("NotPrimary")]))
    third = status_of(observed(previous=second, now=NOW + 2 * hour, jobs=[a_check()]))
    times = [named(each, "BackendReady").last_transition_time for each in (first, second, third)]
    assert times == ["2026-11-22T08:00:00Z", "2026-11-22T08:00:00Z", "2026-11-22T10:00:00Z"]


def test_a_message_has_room_in_the_status() -> None:
    facts = unreadable(mistakes=[f"spec.{n}: wrong" for n in range(9999)])
    assert len(condition(facts, "Ready").message) <= 4096


def test_the_status_is_read_as_it_was_written() -> None:
    status = status_of(observed(**GOOD))
    stored = json.loads(json.dumps(status_object(status)))
    assert msgspec.convert(stored, SessionClusterStatus) == status
    assert previous_status({"status": stored}) == status
    assert previous_status({}) == SessionClusterStatus()


def test_what_another_version_wrote_is_read_as_far_as_it_goes() -> None:
    status = status_of(observed(**GOOD))
    stored = {**status_object(status), "novelty": 1, "workers": {"novelty": 2}}
    expected = msgspec.structs.replace(status, workers=None)
    assert previous_status({"status": stored}) == expected


CHECKS = st.sampled_from(["Ready", "TLSFailed", "SecretNotFound"]).map(a_check)
PURGES = st.builds(a_purge, has_succeeded=st.booleans(), reason=st.just("DeadlineExceeded"))
RECORDS = st.builds(
    a_record,
    st.sampled_from("abc"),
    worker=st.sampled_from(["", "node1"]),
    injected=st.sampled_from(["", "old", "new"]),
    has_sidecar=st.booleans(),
    owner=st.sampled_from([None, ("Deployment", "d"), ("Job", "j"), ("Rollout", "r")]),
    is_finished=st.booleans(),
    is_ready=st.booleans(),
    is_deleting=st.booleans(),
)
OBSERVED = st.builds(
    observed,
    st.fixed_dictionaries({"suspend": st.booleans()}),
    config_generation=st.sampled_from([None, 2, 3]),
    pods=st.lists(RECORDS, max_size=6),
    jobs=st.lists(st.one_of(CHECKS, PURGES), max_size=4),
    refusal=st.sampled_from(["", "no"]),
    injected=st.sampled_from(["", "new"]),
)


@given(OBSERVED, st.integers(min_value=1, max_value=10**7))
def test_a_status_does_not_change_by_itself(facts: Observed, seconds: int) -> None:
    first = status_of(facts)
    later = facts.now + timedelta(seconds=seconds)
    again = status_of(msgspec.structs.replace(facts, previous=first, now=later))
    assert again == first
    assert events_of(first, again) == ()
    assert msgspec.convert(status_object(first), SessionClusterStatus) == first


@given(OBSERVED, OBSERVED)
def test_transitions_follow_the_status_of_conditions(one: Observed, other: Observed) -> None:
    first = status_of(one)
    later = NOW + timedelta(minutes=1)
    second = status_of(msgspec.structs.replace(other, previous=first, now=later))
    for name in CONDITIONS:
        before, after = named(first, name), named(second, name)
        has_moved = before.last_transition_time != after.last_transition_time
        assert has_moved is (before.status is not after.status)
