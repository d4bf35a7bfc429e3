"""Pushes metrics and spans by OTLP over HTTP, where the extra `otlp` is installed.

Headers, certificates and the like are the exporters' own `OTEL_EXPORTER_OTLP_*` variables.
"""

from __future__ import annotations

from typing import Final

from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.trace import SpanProcessor

PUSH_SECONDS: Final = 2.0
"""For one push; also bounds how long it holds up the end of the process."""

METRICS_PERIOD_MS: Final = 30_000


def metric_reader(endpoint: str) -> MetricReader:
    """Pushes all metrics to `<endpoint>/v1/metrics`.

    Raises:
        ImportError: the extra is not installed.
    """
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import (  # noqa: PLC0415 - an extra
        OTLPMetricExporter,
    )
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415

    exporter = OTLPMetricExporter(f"{endpoint.rstrip('/')}/v1/metrics", timeout=PUSH_SECONDS)
    return PeriodicExportingMetricReader(exporter, METRICS_PERIOD_MS)


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
