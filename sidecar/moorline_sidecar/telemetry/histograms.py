"""The calls of the store as a histogram among the metrics that OpenTelemetry's readers receive.

OpenTelemetry reads integers that are kept anyway, but no buckets. So what a reader receives is
completed in the method that is there to be overridden, and it goes on with it as with any other
histogram: names, labels and formats are OpenTelemetry's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeAlias

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import Histogram as HistogramInstrument
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricsData,
    PeriodicExportingMetricReader,
)
from prometheus_client import CollectorRegistry

from moorline_sidecar.telemetry.instruments import (
    SCOPE,
    STORE_CALL_BUCKETS,
    STORE_CALL_DESCRIPTION,
    STORE_CALL_SECONDS,
)
from moorline_sidecar.telemetry.store_calls import StoreCalls, Tally

Show: TypeAlias = Callable[[], Histogram]

RECEIVE_MS: Final = 10_000
"""OpenTelemetry's own default."""


class ScrapedReader(PrometheusMetricReader):
    """Shows the metrics in a `registry`, and the calls of the store with them."""

    def __init__(self, registry: CollectorRegistry, calls: StoreCalls) -> None:
        super().__init__(scope_info_enabled=False, registry=registry)
        self._show_calls = cumulative(calls)

    def _receive_metrics(
        self, metrics_data: MetricsData, timeout_millis: float = RECEIVE_MS, **kwargs: object
    ) -> None:
        completed = completed_with(self._show_calls(), metrics_data)
        super()._receive_metrics(completed, timeout_millis, **kwargs)


class PushingReader(PeriodicExportingMetricReader):
    """Hands the metrics to an `exporter` every `period_ms`, and the calls of the store with them.

    They are all calls or those since the last time, as the exporter prefers it of histograms.
    """

    def __init__(self, exporter: MetricExporter, period_ms: float, calls: StoreCalls) -> None:
        super().__init__(exporter, period_ms)
        preferred = (self._preferred_temporality or {}).get(HistogramInstrument)
        is_delta = preferred is AggregationTemporality.DELTA
        self._show_calls = delta(calls) if is_delta else cumulative(calls)

    def _receive_metrics(
        self, metrics_data: MetricsData, timeout_millis: float = RECEIVE_MS, **kwargs: object
    ) -> None:
        completed = completed_with(self._show_calls(), metrics_data)
        super()._receive_metrics(completed, timeout_millis, **kwargs)


def cumulative(calls: StoreCalls) -> Show:
    """Shows all calls since the start."""

    def show() -> Histogram:
        now = time.time_ns()
        points = [_point(tally, now) for tally in calls.tallies()]
        return Histogram(points, AggregationTemporality.CUMULATIVE)

    return show


def delta(calls: StoreCalls) -> Show:
    """Shows the calls since it was asked before; there may be one such of `calls`."""
    shown: list[HistogramDataPoint] = []

    def show() -> Histogram:
        nonlocal shown
        now = time.time_ns()
        # In the same order each time; what is new comes last.
        points = [_point(tally, now) for tally in calls.tallies(restarts_extremes=True)]
        known = zip(points, shown, strict=False)
        more = [_since(point, last) for point, last in known if point.count > last.count]
        more += points[len(shown) :]
        shown = points
        return Histogram(more, AggregationTemporality.DELTA)

    return show


def completed_with(histogram: Histogram, data: MetricsData) -> MetricsData:
    """The same metrics, led by the calls of the store if there were any."""
    if not histogram.data_points:
        return data
    metric = Metric(STORE_CALL_SECONDS, STORE_CALL_DESCRIPTION, "s", histogram)
    return MetricsData(
        [
            replace(
                resource,
                scope_metrics=[
                    replace(each, metrics=[metric, *each.metrics])
                    if each.scope.name == SCOPE
                    else each
                    for each in resource.scope_metrics
                ],
            )
            for resource in data.resource_metrics
        ]
    )


def _point(tally: Tally, now: int) -> HistogramDataPoint:
    return HistogramDataPoint(
        attributes=tally.attributes,
        start_time_unix_nano=tally.began_at,
        time_unix_nano=now,
        count=sum(tally.counts),
        sum=tally.seconds,
        bucket_counts=tuple(tally.counts),
        explicit_bounds=STORE_CALL_BUCKETS,
        min=tally.shortest,
        max=tally.longest,
    )


def _since(point: HistogramDataPoint, last: HistogramDataPoint) -> HistogramDataPoint:
    counts = zip(point.bucket_counts, last.bucket_counts, strict=True)
    return replace(
        point,
        start_time_unix_nano=last.time_unix_nano,
        count=point.count - last.count,
        sum=point.sum - last.sum,
        bucket_counts=tuple(now - before for now, before in counts),
    )
