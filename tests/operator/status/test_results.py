import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moorline_operator import naming
from moorline_operator.status import (
    CheckOutcome,
    CronFacts,
    PurgeOutcome,
    cron_facts,
    job_facts,
    status_object,
    status_of,
)
from moorline_operator.status.results import check_outcome, purge_outcome
from moorline_sidecar.checking import CheckResult
from moorline_sidecar.purge import PurgeResult

from tests.operator.status.facts import a_check, a_purge, observed

ENDED = "2026-11-22T08:00:00Z"


def a_job(task: str = "purge", *conditions: dict[str, str]) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "shop-moorline-task",
            "namespace": "web",
            "uid": "uid-of-job",
            "creationTimestamp": "2026-11-22T07:59:00Z",
            "labels": {naming.TASK: task},
            "annotations": {naming.CHECKED: "0a1b2c3d", naming.ATTEMPT: "2"},
        },
        "status": {"conditions": list(conditions)},
    }


def a_condition(kind: str, reason: str = "") -> dict[str, str]:
    return {"type": kind, "status": "True", "reason": reason, "lastTransitionTime": ENDED}


def a_task_pod(created: str = "2026-11-22T07:59:01Z", **state: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {
        "metadata": {"creationTimestamp": created, "ownerReferences": [{"uid": "uid-of-job"}]},
        "status": {"containerStatuses": [{"name": "moorline", "image": "i", "state": state}]},
    }


COMPLETE, FAILED = a_condition("Complete"), a_condition("Failed", "BackoffLimitExceeded")
RESULT = PurgeResult(invalid_deleted=7, valid_deleted=2, duration_seconds=1.5, complete=True)
LINE = msgspec.json.encode(RESULT).decode()


def test_the_sidecar_and_the_operator_speak_of_the_same_purge() -> None:
    assert purge_outcome(f"{LINE}\n") == PurgeOutcome(
        invalid_deleted=7, valid_deleted=2, duration_seconds=1.5, is_complete=True
    )


def test_the_sidecar_and_the_operator_speak_of_the_same_check() -> None:
    result = CheckResult(ok=False, reason="TLSFailed", detail="no TLS", indexes=("a", "b"))
    assert check_outcome(result.line()) == CheckOutcome(
        is_ok=False, reason="TLSFailed", detail="no TLS"
    )


@pytest.mark.parametrize(
    "message",
    [
        "",
        "\n\n",
        "panic: oops",
        "null",
        "[]",
        "{}",
        '{"ok": "yes"}',
        '{"ok": true',
        '{"ok": true, "detail": "' + 4000 * "x" + '"}',
        '{"ok": true, "reason": "\\ud800"}',
        "\udcff",
    ],
    ids=range(11),
)
def test_what_is_no_result_of_a_check_is_none(message: str) -> None:
    assert check_outcome(message) is None


@pytest.mark.parametrize(
    "message",
    [
        '{"invalidDeleted": -1}',
        '{"invalidDeleted": 1e400}',
        '{"validDeleted": 99999999999999999}',
        '{"durationSeconds": NaN}',
        '{"durationSeconds": 1e300}',
        '{"complete": 1}',
    ],
)
def test_numbers_out_of_bounds_are_no_result_of_a_purge(message: str) -> None:
    assert purge_outcome(message) is None


@given(st.text())
def test_any_text_can_be_read(message: str) -> None:
    check_outcome(message)
    purge_outcome(message)


@given(st.text(), st.text(), st.text())
def test_any_result_gives_a_status_that_can_be_written(
    reason: str, detail: str, server: str
) -> None:
    result = {"ok": False, "reason": reason, "detail": detail, "server": server}
    outcome = check_outcome(json.dumps(result))
    job = msgspec.structs.replace(a_check("X"), outcome=outcome)
    status = status_of(observed(jobs=[job]))
    assert msgspec.convert(status_object(status), type(status)) == status
    assert all(each.message.isprintable() for each in status.conditions)


@pytest.mark.parametrize(
    ("job", "pods", "expected"),
    [
        (
            a_job("purge", COMPLETE),
            [a_task_pod(terminated={"exitCode": 0, "message": LINE})],
            {"has_succeeded": True, "exit_code": 0, "outcome": purge_outcome(LINE)},
        ),
        (a_job("purge", COMPLETE), [], {"has_succeeded": True}),
        (
            a_job("purge", a_condition("FailureTarget"), FAILED),
            [a_task_pod(terminated={"exitCode": 3, "message": "no JSON"})],
            {"reason": "BackoffLimitExceeded", "exit_code": 3},
        ),
        (
            a_job("purge", FAILED),
            [a_task_pod(terminated={"exitCode": 137, "reason": "OOMKilled"})],
            {"reason": "OOMKilled", "exit_code": 137},
        ),
        (
            a_job("purge", FAILED),
            [
                a_task_pod("2026-11-22T07:59:30Z", terminated={"exitCode": 3}),
                a_task_pod("2026-11-22T07:59:01Z", terminated={"exitCode": 1}),
            ],
            {"reason": "BackoffLimitExceeded", "exit_code": 3},
        ),
        (a_job("purge", a_condition("Failed", "a b\n")), [], {"reason": "JobFailed"}),
        (a_job("purge", a_condition("FailureTarget")), [], {"ended": None}),
        (
            a_job("purge"),
            [a_task_pod(waiting={"reason": "ErrImagePull", "message": "at 08:00"})],
            {"ended": None, "stuck": "ImagePullBackOff: the image i cannot be pulled"},
        ),
        (
            a_job("purge"),
            [a_task_pod(waiting={"reason": "CreateContainerError", "message": "a\nb"})],
            {"ended": None, "stuck": "CreateContainerError: a b"},
        ),
        (a_job("purge"), [a_task_pod(waiting={"reason": "ContainerCreating"})], {"ended": None}),
        (
            a_job("purge"),
            [
                {
                    **a_task_pod(),
                    "status": {
                        "conditions": [
                            {
                                "type": "PodScheduled",
                                "status": "False",
                                "reason": "Unschedulable",
                                "message": "0/3 nodes",
                            }
                        ]
                    },
                }
            ],
            {"ended": None, "stuck": "Unschedulable: 0/3 nodes"},
        ),
    ],
    ids=[
        "succeeded",
        "succeeded-without-a-pod",
        "failed",
        "out-of-memory",
        "the-last-pod-counts",
        "odd-reason",
        "about-to-fail",
        "no-image",
        "no-container",
        "starting",
        "no-node",
    ],
)
def test_a_job_and_its_pods_are_read(
    job: dict[str, Any], pods: list[dict[str, Any]], expected: dict[str, Any]
) -> None:
    stranger = {"metadata": {"creationTimestamp": ENDED, "ownerReferences": [{"uid": "other"}]}}
    facts = job_facts(job, [stranger, *pods])
    nothing = {"has_succeeded": False, "reason": "", "exit_code": None, "stuck": ""}
    ended = datetime(2026, 11, 22, 8, tzinfo=UTC)
    wanted = {**nothing, "ended": ended, "outcome": None, **expected}
    assert {name: getattr(facts, name) for name in wanted} == wanted
    assert (facts.checked, facts.attempt) == ("0a1b2c3d", 2)


def test_a_job_of_anybody_can_be_read() -> None:
    metadata = {"name": "x", "uid": "u", "creationTimestamp": ENDED}
    facts = job_facts({"metadata": metadata}, [])
    assert (facts.task, facts.checked, facts.attempt) == ("", "", 0)
    # More digits than Python makes a number of.
    annotated = {**metadata, "annotations": {naming.ATTEMPT: "9" * 5_000}}
    assert job_facts({"metadata": annotated}, []).attempt == 0


def test_a_cron_job_is_as_it_is_since_its_spec_changed() -> None:
    entries = [
        {"manager": "moorline-operator", "time": "2026-11-22T07:30:00Z"},
        {"manager": "controllers", "time": ENDED, "subresource": "status"},
        {"manager": "timeless"},
    ]
    metadata = {"creationTimestamp": "2026-11-01T00:00:00Z", "managedFields": entries}
    found = cron_facts({"metadata": metadata, "spec": {"schedule": "1 2 * * *"}})
    assert found == CronFacts(schedule="1 2 * * *", since=datetime(2026, 11, 22, 7, 30, tzinfo=UTC))


def test_a_purge_with_any_facts_has_a_place_in_status() -> None:
    status = status_of(observed(jobs=[a_purge()]))
    assert status_object(status)["purge"] == {
        "lastRun": ENDED,
        "lastSuccess": ENDED,
        "invalidDeleted": 120,
        "validDeleted": 4,
        "durationSeconds": 2.5,
        "handledToken": "",
    }


def test_nesting_however_deep_breaks_nothing() -> None:
    # How deep a decoder goes is its own, and that of the Python it runs on.
    nested = '{"ok": true, "extra": ' + 1000 * "[" + 1000 * "]" + "}"
    assert check_outcome(nested) in (None, CheckOutcome(is_ok=True, reason="", detail=""))
