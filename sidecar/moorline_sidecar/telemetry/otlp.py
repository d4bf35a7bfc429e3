"""Pushes metrics and spans by OTLP over HTTP, where the extra `otlp` is installed.

Headers, certificates and the like are the exporters' own `OTEL_EXPORTER_OTLP_*` variables. Calls
of the store go by the one on temporality, not by the one on the aggregation of histograms.
"""

from __future__ import annotations

from typing import Final

from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.trace import SpanProcessor

from moorline_sidecar.telemetry.store_calls import StoreCalls

PUSH_SECONDS: Final = 2.0
"""For one push; also bounds how long it holds up the end of the process."""

METRICS_PERIOD_MS: Final = 30_000


def metric_reader(endpoint: str, calls: StoreCalls) -> MetricReader:
    """Pushes all metrics, with the `calls`, to `<endpoint>/v1/metrics`.

    Raises:
        ImportError: the extra is not installed.
    """
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import (  # noqa: PLC0415 - an extra
        OTLPMetricExporter,
    )

    from moorline_sidecar.telemetry.histograms import (  # noqa: PLC0415 - imported by the metrics
        PushingReader,
    )

    exporter = OTLPMetricExporter(f"{endpoint.rstrip('/')}/v1/metrics", timeout=PUSH_SECONDS)
    return PushingReader(exporter, METRICS_PERIOD_MS, calls)


def span_processor(endpoint: str) -> SpanProcessor:
    """Pushes spans to `<endpoint>/v1/traces`, in batches, from a thread of its own.

    Raises:
        ImportError: the extra is not installed.
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - an extra
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    return BatchSpanProcessor(
        OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=PUSH_SECONDS)
    )
