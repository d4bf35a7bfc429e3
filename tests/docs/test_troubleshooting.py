"""What docs/troubleshooting.md lists is complete and current."""

import re
from typing import Final

import pytest
from moorline_operator.desired.task_pod import WRONG_CONFIGURATION
from moorline_operator.status.backend import CHECK_REASONS
from moorline_operator.status.deriving import (
    BACKEND_READY,
    PURGE_HEALTHY,
    READY,
    SIDECARS_UP_TO_DATE,
    WORKERS_READY,
)
from moorline_operator.status.notices import NORMAL, Reason
from moorline_operator.status.purges import UNREACHABLE
from moorline_operator.telemetry import Telemetry, Values

from tests.architecture.source import ROOT
from tests.docs.reasons import modules_with_findings, reasons_in
from tests.sidecar.pages import names, page, section, table

OPERATOR: Final = ROOT / "operator" / "moorline_operator"
EXITS: Final = {UNREACHABLE: "BackendUnreachable", WRONG_CONFIGURATION: "InvalidConfiguration"}
OF_JOBS: Final = {"OOMKilled", "JobFailed", "BackoffLimitExceeded", "DeadlineExceeded"} | {
    "PodFailurePolicy"
}
"""Words of Kubernetes, and what stands for all others."""

MODULES: Final = {
    READY: ("deriving",),
    BACKEND_READY: ("backend",),
    WORKERS_READY: ("workers",),
    PURGE_HEALTHY: ("purges",),
    SIDECARS_UP_TO_DATE: ("workers",),
}
OTHERS: Final = {
    READY: set[str](),
    BACKEND_READY: set(CHECK_REASONS),
    WORKERS_READY: set[str](),
    PURGE_HEALTHY: set(EXITS.values()) | OF_JOBS,
    SIDECARS_UP_TO_DATE: set[str](),
}
"""What a condition can say beside the words in its module."""

RESTARTS: Final = {"UpToDate", "RestartRequired"}
"""Of the module `workers`, those of SidecarsUpToDate."""

# Said of Ready without being a finding of their own, or of every condition alike.
APPLIED: Final = "Applied"
PAGE: Final = page("troubleshooting.md")


def made(condition: str) -> set[str]:
    """Every reason that the condition can have."""
    found = reasons_in(*MODULES[condition]) | OTHERS[condition]
    if condition == WORKERS_READY:
        return found - RESTARTS
    return found & RESTARTS if condition == SIDECARS_UP_TO_DATE else found - {APPLIED}


def described(condition: str) -> set[str]:
    rows = table(section(PAGE, f"### `{condition}`"), "reason")
    return {name for cells in rows for name in names(cells[0])}


@pytest.mark.parametrize("condition", MODULES)
def test_every_reason_of_a_condition_is_described_and_no_other(condition: str) -> None:
    assert described(condition) == made(condition)


def test_no_other_module_makes_findings() -> None:
    # Those in facts.py are the functions themselves.
    known = {name for names in MODULES.values() for name in names}

    assert modules_with_findings() == known


def test_every_event_is_described_with_its_type() -> None:
    rows = table(section(PAGE, "## Events"), "reason")

    assert {names(reason)[0]: kind for reason, kind, _ in rows} == {
        str(reason): "Normal" if reason in NORMAL else "Warning" for reason in Reason
    }


def test_every_refusal_that_is_quoted_is_one_of_ours() -> None:
    source = "".join(
        path.read_text(encoding="utf-8")
        for path in (
            *(OPERATOR / "injection").glob("*.py"),
            *(OPERATOR / "webhook").glob("*.py"),
            *(ROOT / "charts" / "moorline" / "templates" / "policies").glob("*.yaml"),
        )
    )
    # Sentences that span lines of the source, with what they are filled with left open.
    told = re.sub(r'"\s+f?"', "", source).replace("{naming.WORKER}", "moorline.io/worker")
    told = told.replace("{naming.CONTAINER}", "moorline").replace("\\'", "'")
    told = re.sub(r"\{[^}]*\}", "…", told)
    quoted = [names(cells[0])[0] for cells in table(PAGE, "message")]
    foreign = ("violates PodSecurity", "failed calling webhook")
    ours = [text for text in quoted if not text.startswith(foreign)]

    assert len(ours) > len(foreign)
    assert [text for text in ours if text.replace("7070", "…") not in told] == []


@pytest.fixture
def exposition() -> str:
    """All metrics, as Prometheus gets them."""
    telemetry = Telemetry()

    def values(labels: dict[str, str]) -> Values:
        return [(1.0, labels)]

    telemetry.reconciled(0.1, is_good=True)
    telemetry.reconciled(0.1, is_good=False)
    for result in ("injected", "refused", "failed", "ignored"):
        telemetry.admitted(result, 0.1)
    telemetry.named(0.1)
    telemetry.show_leader(lambda: values({}))
    telemetry.show_clusters(lambda: values({}))
    telemetry.show_workers(lambda: values({"namespace": "", "cluster": "", "state": ""}))
    telemetry.show_queue(lambda: values({}))
    telemetry.show_watches(lambda: values({"watch": ""}))
    telemetry.show_certificate(lambda: values({}))
    text = telemetry.exposition().decode()
    telemetry.close()
    return text


def test_every_metric_of_the_operator_is_described_with_its_kind(exposition: str) -> None:
    rows = table(section(PAGE, "## Metrics of the operator"), "metric")

    exposed = set(re.findall(r"^# TYPE (moorline_\w+) (\w+)$", exposition, re.MULTILINE))
    assert {(names(name)[0], kind) for name, kind, *_ in rows} == exposed


def test_every_label_of_a_metric_is_described(exposition: str) -> None:
    rows = table(section(PAGE, "## Metrics of the operator"), "metric")
    labels: dict[str, set[str]] = {}
    for series, found in re.findall(r"^(moorline_\w+)\{(.*)\} ", exposition, re.MULTILINE):
        name = series.removesuffix("_bucket")
        labels.setdefault(name, set()).update(re.findall(r"\w+(?==)", found))

    missing = {
        names(name)[0]: labels.get(names(name)[0], set()) - {"le"} - set(names(told))
        for name, _, told, _ in rows
    }
    assert {name: found for name, found in missing.items() if found} == {}


def test_every_metric_that_is_alerted_on_exists(exposition: str) -> None:
    alerts = " ".join(cells[0] for cells in table(PAGE, "alert on"))

    used = set(re.findall(r"moorline_\w+", alerts))
    assert used
    assert [name for name in used if f"# TYPE {name} " not in exposition] == []
