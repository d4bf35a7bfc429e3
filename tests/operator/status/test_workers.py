import pytest
from moorline_api.status import WorkersStatus
from moorline_operator.pods import PodRecord
from moorline_operator.status import status_of

from tests.operator.status.facts import a_check, a_record, condition, observed

READY = a_record("1")
GATED = a_record("2", worker="", gate=0, is_ready=False)
STARTING = a_record("3", is_ready=False)
BARE = a_record("4", has_sidecar=False, injected="", worker="")
OLD = a_record("5", injected="old")
DELETED = a_record("6", is_deleting=True, is_ready=False)
FIRST_TEN = " ".join(f"deployment/d{number}" for number in (0, 1, 10, 11, 2, 3, 4, 5, 6, 7))
MISSING = (
    "1 of 4 workers is without the sidecar: the webhook was not asked when they were made. "
    "To get it: kubectl -n web rollout restart deployment/shop"
)
FINISHED = a_record("7", is_finished=True, is_ready=False)


@pytest.mark.parametrize(
    ("pods", "status", "reason", "message"),
    [
        ([], "True", "NoneSelected", "No pod carries the label of this SessionCluster."),
        ([DELETED, FINISHED], "True", "NoneSelected", None),
        ([READY], "True", "AllReady", "1 of 1 workers is ready."),
        ([READY, OLD], "True", "AllReady", "2 of 2 workers are ready."),
        ([READY, STARTING], "False", "NotReady", "1 of 2 workers is ready."),
        (
            [READY, GATED],
            "False",
            "NamePending",
            "1 of 2 workers is without a worker name yet.",
        ),
        (
            [READY, GATED, STARTING, BARE],
            "False",
            "SidecarMissing",
            MISSING,
        ),
    ],
    ids=["none", "only-leaving", "ready", "old", "starting", "gated", "bare"],
)
def test_pods_decide_whether_workers_are_ready(
    pods: list[PodRecord], status: str, reason: str, message: str | None
) -> None:
    found = condition(observed(pods=pods), "WorkersReady")
    assert (found.status, found.reason) == (status, reason)
    assert message in (None, found.message)


def test_live_pods_are_counted() -> None:
    pods = [READY, GATED, STARTING, BARE, OLD, DELETED, FINISHED]
    assert status_of(observed(pods=pods)).workers == WorkersStatus(
        selected=5, named=3, ready=2, outdated=1, missing=2, summary="2/5"
    )


def test_gated_pods_of_a_suspended_cluster_say_why_they_wait() -> None:
    found = condition(observed({"suspend": True}, pods=[GATED]), "WorkersReady")
    assert found.message.endswith("spec.suspend is true, so they go on waiting.")


@pytest.mark.parametrize(
    ("owners", "cure"),
    [
        ([("Deployment", "shop")], "kubectl -n web rollout restart deployment/shop"),
        (
            [("StatefulSet", "x"), ("Deployment", "shop"), ("DaemonSet", "d")],
            "kubectl -n web rollout restart daemonset/d deployment/shop statefulset/x",
        ),
        ([("Job", "nightly")], "job/nightly will be right in the next run"),
        ([("Rollout", "r")], "restart rollout/r by the means of its own controller"),
        ([None], "delete and make anew pod/p0"),
        (
            [("Deployment", "shop"), None],
            "kubectl -n web rollout restart deployment/shop; delete and make anew pod/p1",
        ),
        (
            [("Deployment", f"d{number}") for number in range(12)],
            f"kubectl -n web rollout restart {FIRST_TEN} (and 2 more)",
        ),
    ],
    ids=["deployment", "three-kinds", "job", "foreign", "bare", "mixed", "many"],
)
def test_old_sidecars_come_with_the_command_that_renews_them(
    owners: list[tuple[str, str] | None], cure: str
) -> None:
    pods = [
        a_record(f"p{number}", injected="old", owner=owner) for number, owner in enumerate(owners)
    ]
    facts = observed(pods=[*pods, READY], jobs=[a_check()])
    found = condition(facts, "SidecarsUpToDate")
    runs = "runs" if len(pods) == 1 else "run"
    count = f"{len(pods)} of {len(pods) + 1} workers {runs} an older sidecar"
    assert (found.status, found.reason) == ("False", "RestartRequired")
    assert found.message == f"{count}; {cure}"
    assert condition(facts, "Ready").status == "True", "an older sidecar does its work"


def test_the_order_of_pods_does_not_matter() -> None:
    pods = [a_record(str(n), injected="old", owner=("Deployment", f"d{n % 7}")) for n in range(40)]
    forwards, backwards = observed(pods=pods), observed(pods=pods[::-1])
    assert status_of(forwards) == status_of(backwards)
