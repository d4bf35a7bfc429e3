import json
import re
from collections import defaultdict
from typing import Any, Final

import pytest
from moorline_operator.telemetry import Telemetry
from moorline_sidecar.telemetry.instruments import SESSIONS, TRAFFIC
from moorline_sidecar.telemetry.metrics import Metrics
from moorline_sidecar.telemetry.store_calls import StoreCalls

from tests.charts.releases import CHART

DASHBOARD: Final[dict[str, Any]] = json.loads(
    (CHART / "dashboards" / "moorline.json").read_text(encoding="utf-8")
)
METRIC: Final = re.compile(r"\b(?:moorline|process|db_client)_\w+")
LABELS: Final = {"moorline_io_cluster", "moorline_io_worker"}
"""What the PodMonitor of a SessionCluster makes of the labels of a pod."""


def expressions() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]


@pytest.fixture
def exported() -> set[str]:
    """What sidecars and operators show, labels included."""
    return _words(_sidecar()) | _words(_operator())


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))


def _operator() -> str:
    telemetry = Telemetry()
    telemetry.reconciled(0.1, is_good=True)
    telemetry.admitted("injected", 0.1)
    telemetry.named(0.1)
    labels = {"namespace": "web", "cluster": "shop", "state": "named", "watch": "pods"}
    for show in (
        *(telemetry.show_leader, telemetry.show_clusters, telemetry.show_workers),
        *(telemetry.show_queue, telemetry.show_watches, telemetry.show_certificate),
    ):
        show(lambda: [(1.0, labels)])
    text = telemetry.exposition().decode()
    telemetry.close()
    return text


def _sidecar() -> str:
    calls = StoreCalls("mongodb")
    metrics = Metrics({"service.name": "test"}, calls)
    values = defaultdict[str, float](float)
    for instruments in (SESSIONS, TRAFFIC):
        for instrument in instruments:
            values.update(dict.fromkeys(instrument.series, 1.0))
        metrics.observe(instruments, lambda: values)
    calls.record("load", 0.1, "Unreachable")
    text = metrics.exposition().decode()
    metrics.close()
    return text


def test_every_metric_of_the_dashboard_is_exported(exported: set[str]) -> None:
    asked = {name for expr in expressions() for name in METRIC.findall(expr)}
    grouped = {name for expr in expressions() for name in re.findall(r"by \(([^)]*)\)", expr)}
    labels = {label for each in grouped for label in each.split(", ")}
    assert asked - exported == LABELS & asked
    assert labels - exported == LABELS & labels


def test_every_metric_of_sessions_and_traffic_is_shown(exported: set[str]) -> None:
    asked = {name for expr in expressions() for name in METRIC.findall(expr)}
    metrics = {
        name
        for name in exported
        if name.startswith("moorline_") and not name.startswith("moorline_operator")
    }
    attributes = {
        key.replace(".", "_")
        for instrument in (*SESSIONS, *TRAFFIC)
        for attributes in instrument.series.values()
        for key in attributes
    }
    assert metrics - attributes <= asked


def test_panels_say_what_they_show_and_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["type"] == "row" or panel["description"]
