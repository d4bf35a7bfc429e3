"""Starts and stops metrics and traces around a process that must not wait for them."""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

import structlog

from moorline_sidecar.telemetry.instruments import Instrument
from moorline_sidecar.telemetry.spans import Sample, never
from moorline_sidecar.telemetry.store_calls import StoreCalls

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricReader

    from moorline_sidecar.telemetry.metrics import Metrics, Read
    from moorline_sidecar.telemetry.tracing import Tracing

CLOSE_SECONDS: Final = 1.0
"""For what is left to be pushed; then the process ends all the same."""

log = structlog.get_logger(__name__)

Tables: TypeAlias = "Iterable[tuple[Iterable[Instrument], Read]]"
"""Instruments, each with what reads their values."""


class Observation:
    """Metrics for `resource`, and spans where there is an OTLP `endpoint` to send them to.

    Importing OpenTelemetry takes as long as everything else together, so metrics come up in the
    background, after the process has begun to serve.
    """

    def __init__(
        self, resource: Mapping[str, str], endpoint: str | None, trace_ratio: float, system: str
    ) -> None:
        self._resource = resource
        self._endpoint = endpoint
        self.store_calls = StoreCalls(system)
        """Counted from the start, and shown once the metrics are up."""
        self._metrics: Metrics | None = None
        self._tracing: Tracing | None = None
        if endpoint is not None:
            self._tracing = _tracing(resource, endpoint, trace_ratio)

    @property
    def sample(self) -> Sample:
        """What decides which requests are traced."""
        return never if self._tracing is None else self._tracing.sample

    async def start(self, tables: Tables) -> None:
        """Bring up the metrics; until then there are none."""
        await asyncio.to_thread(importlib.import_module, "moorline_sidecar.telemetry.metrics")
        from moorline_sidecar.telemetry.metrics import Metrics  # noqa: PLC0415 - imported just now

        readers = [] if self._endpoint is None else _readers(self._endpoint, self.store_calls)
        metrics = Metrics(self._resource, self.store_calls, readers)
        for instruments, read in tables:
            metrics.observe(instruments, read)
        self._metrics = metrics

    def exposition(self) -> bytes | None:
        """Prometheus text; None until the metrics are up."""
        return None if self._metrics is None else self._metrics.exposition()

    async def close(self) -> None:
        """Push what is left, for so many seconds at most."""
        opened = [each for each in (self._tracing, self._metrics) if each is not None]
        if not opened:
            return
        # A thread of our own: the loop's would hold up the end of the process.
        closing = threading.Thread(target=lambda: [each.close() for each in opened], daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, CLOSE_SECONDS)


def _tracing(resource: Mapping[str, str], endpoint: str, ratio: float) -> Tracing | None:
    from moorline_sidecar.telemetry import otlp, tracing  # noqa: PLC0415 - only who pushes pays

    try:
        return tracing.Tracing(ratio, resource, [otlp.span_processor(endpoint)])
    except ImportError:
        log.warning("OTLP needs the extra: pip install moorline-sidecar[otlp]")
        return None


def _readers(endpoint: str, calls: StoreCalls) -> list[MetricReader]:
    from moorline_sidecar.telemetry import otlp  # noqa: PLC0415 - only who pushes pays

    try:
        return [otlp.metric_reader(endpoint, calls)]
    except ImportError:
        return []
