"""Calls of the store are counted here, and shown as OpenTelemetry's own histogram would be."""

import random
from collections.abc import Sequence
from dataclasses import replace
from threading import Thread

import pytest
from moorline_sidecar.telemetry.histograms import PushingReader, ScrapedReader, cumulative, delta
from moorline_sidecar.telemetry.instruments import (
    SCOPE,
    SESSIONS,
    STORE_CALL_BUCKETS,
    STORE_CALL_DESCRIPTION,
    STORE_CALL_SECONDS,
)
from moorline_sidecar.telemetry.metrics import Metrics
from moorline_sidecar.telemetry.observation import Observation
from moorline_sidecar.telemetry.store_calls import StoreCalls
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import Histogram as Recorder
from opentelemetry.metrics import Observation as Observed
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.sdk.metrics import Histogram as HistogramInstrument
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricExportResult,
    MetricReader,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, generate_latest

from tests.sidecar.otlp_collector import collector

Call = tuple[str, float, str | None]

MANY: Sequence[Call] = (
    ("load", 0.0004, None),
    *(("load", bound, None) for bound in STORE_CALL_BUCKETS),
    ("load", 2.7, "TimeoutError"),
    ("write", 0.3, None),
    ("load", 11.5, None),
    ("write", 0.1, "StoreUnavailable"),
    ("write", 0.7, None),
)
FEW: Sequence[Call] = (("write", 0.02, None), ("touch", 0.001, None), ("write", 0.004, None))


class Kept(MetricExporter):
    """An exporter of which one can see what it was given."""

    def __init__(self, temporality: AggregationTemporality) -> None:
        super().__init__({HistogramInstrument: temporality})
        self.given: list[MetricsData] = []

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 0, **_kwargs: object
    ) -> MetricExportResult:
        del timeout_millis
        self.given.append(metrics_data)
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 0) -> bool:
        return timeout_millis >= 0

    def shutdown(self, timeout_millis: float = 0, **_kwargs: object) -> None:
        """Nothing is open."""

    def shown(self) -> list[list[Metric]]:
        """What was pushed each time, as `_comparable`."""
        return [
            [
                _comparable(metric)
                for each in data.resource_metrics
                for scope in each.scope_metrics
                if scope.scope.name == SCOPE
                for metric in scope.metrics
                if isinstance(metric.data, Histogram)
            ]
            for data in self.given
        ]


def _comparable(metric: Metric) -> Metric:
    """Without moments; a sum of fractions differs in its last digits by what it was added to."""
    points = [
        replace(point, start_time_unix_nano=0, time_unix_nano=0, sum=round(point.sum, 9))
        for point in metric.data.data_points
        if isinstance(point, HistogramDataPoint)
    ]
    points.sort(key=lambda point: str(point.attributes))
    assert isinstance(metric.data, Histogram)
    return replace(metric, data=Histogram(points, metric.data.aggregation_temporality))


class Shop:
    """A process that shows a gauge, and calls of the store by whatever its reader takes."""

    def __init__(self, reader: MetricReader, *, records: bool) -> None:
        self.provider = MeterProvider(
            [reader], Resource.create({"service.name": "shop"}), shutdown_on_exit=False
        )
        meter = self.provider.get_meter(SCOPE)
        meter.create_observable_gauge("moorline.unsaved", [lambda _: [Observed(1)]])
        self.recorder: Recorder | None = None
        if records:
            self.recorder = meter.create_histogram(
                STORE_CALL_SECONDS,
                "s",
                STORE_CALL_DESCRIPTION,
                explicit_bucket_boundaries_advisory=STORE_CALL_BUCKETS,
            )

    def record(self, operation: str, seconds: float, error: str | None) -> None:
        assert self.recorder is not None
        attributes = {"db.system.name": "mongodb", "db.operation.name": operation}
        if error is not None:
            attributes["error.type"] = error
        self.recorder.record(seconds, attributes)


@pytest.fixture(name="calls")
def _calls() -> StoreCalls:
    return StoreCalls("mongodb")


def _text(registry: CollectorRegistry) -> bytes:
    return generate_latest(registry)


def test_a_scrape_shows_what_a_histogram_of_opentelemetry_shows(calls: StoreCalls) -> None:
    own, other = CollectorRegistry(), CollectorRegistry()
    ours = Shop(ScrapedReader(own, calls), records=False)
    theirs = Shop(PrometheusMetricReader(scope_info_enabled=False, registry=other), records=True)
    for batch in (MANY, FEW):
        for call in batch:
            calls.record(*call)
            theirs.record(*call)
        assert _text(own) == _text(other)
    assert b'le="+Inf"' in _text(own)
    for shop in (ours, theirs):
        shop.provider.shutdown()


@pytest.mark.parametrize(
    "temporality",
    [
        pytest.param(AggregationTemporality.CUMULATIVE, id="since the start"),
        pytest.param(AggregationTemporality.DELTA, id="since the last push"),
    ],
)
def test_a_push_has_what_a_histogram_of_opentelemetry_has(
    calls: StoreCalls, temporality: AggregationTemporality
) -> None:
    own, other = Kept(temporality), Kept(temporality)
    ours = Shop(PushingReader(own, 3_600_000, calls), records=False)
    theirs = Shop(PeriodicExportingMetricReader(other, 3_600_000), records=True)
    for batch in (MANY, FEW, (), MANY):
        for call in batch:
            calls.record(*call)
            theirs.record(*call)
        for shop in (ours, theirs):
            shop.provider.force_flush()
    for shop in (ours, theirs):
        shop.provider.shutdown()
    assert own.shown() == other.shown()
    assert own.given[0].resource_metrics[0].resource == other.given[0].resource_metrics[0].resource


def test_the_moments_are_those_of_the_calls_and_of_the_push(calls: StoreCalls) -> None:
    show = delta(calls)
    calls.record("load", 0.1)
    (first,) = show().data_points
    calls.record("load", 0.2)
    (second,) = show().data_points
    assert first.start_time_unix_nano <= first.time_unix_nano
    assert second.start_time_unix_nano == first.time_unix_nano <= second.time_unix_nano
    (all_,) = cumulative(calls)().data_points
    assert all_.start_time_unix_nano == first.start_time_unix_nano


def test_without_calls_there_is_no_histogram(calls: StoreCalls) -> None:
    metrics = Metrics({}, calls)
    metrics.observe(SESSIONS, lambda: {"created": 1})
    assert b"db_client" not in metrics.exposition()
    assert b"moorline_sessions_created_total 1.0" in metrics.exposition()
    metrics.close()


def test_no_call_is_lost_while_others_are_read(calls: StoreCalls) -> None:
    """Differences of what is read add up to what was recorded."""
    show = delta(calls)
    counts: list[int] = []
    is_over = False

    def read() -> None:
        while not is_over:
            counts.extend(point.count for point in show().data_points)

    thread = Thread(target=read)
    thread.start()
    for _ in range(20_000):
        calls.record("load", random.random())
    is_over = True
    thread.join()
    counts.extend(point.count for point in show().data_points)
    assert sum(counts) == 20_000


@pytest.fixture(name="preference", params=["CUMULATIVE", " delta", "LowMemory"])
def _preference(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", request.param)
    return str(request.param).strip().upper()


async def test_calls_are_pushed_as_the_exporter_is_told(preference: str) -> None:
    with collector() as (endpoint, received):
        observation = Observation({"service.name": "shop"}, endpoint, 0.0, "mongodb")
        observation.store_calls.record("load", 0.004)
        await observation.start([(SESSIONS, lambda: {"created": 1})])
        observation.store_calls.record("load", 3.0)
        await observation.close()
    (body,) = [body for path, body in received if path == "/v1/metrics"]
    (resource,) = ExportMetricsServiceRequest.FromString(body).resource_metrics
    (scope,) = resource.scope_metrics
    assert scope.scope.name == "moorline_sidecar"
    metric = next(each for each in scope.metrics if each.name == "db.client.operation.duration")
    assert (metric.unit, metric.description) == ("s", "How long calls of the store took.")
    expected = 2 if preference == "CUMULATIVE" else 1
    assert metric.histogram.aggregation_temporality == expected
    (point,) = metric.histogram.data_points
    assert list(point.explicit_bounds) == list(STORE_CALL_BUCKETS)
    assert list(point.bucket_counts) == [0, 1, 0, 0, 0, 0, 0, 1, 0, 0]
    assert (point.count, point.sum, point.min, point.max) == (2, 3.004, 0.004, 3.0)
    assert {each.key: each.value.string_value for each in point.attributes} == {
        "db.system.name": "mongodb",
        "db.operation.name": "load",
    }
