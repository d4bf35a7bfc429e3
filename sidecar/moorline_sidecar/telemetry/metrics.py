"""OpenTelemetry metrics, scraped as Prometheus text and pushed by OTLP where that is wanted.

Nothing is recorded by OpenTelemetry: what is shown are numbers that are kept anyway, read when
somebody asks, those of the calls of the store as well (`telemetry.store_calls`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, generate_latest

from moorline_sidecar.telemetry.histograms import ScrapedReader
from moorline_sidecar.telemetry.instruments import PROCESS, SCOPE, Instrument, Kind
from moorline_sidecar.telemetry.process import process_values
from moorline_sidecar.telemetry.store_calls import StoreCalls

Read = Callable[[], Mapping[str, float]]

SCRAPE_SECONDS: Final = 1.0
"""A scrape this young is shown again: rendering one takes milliseconds of everybody's time."""

CLOSE_MS: Final = 2_000
"""For a last push by OTLP."""


class Metrics:
    """The metrics of this process, with its `calls`; `resource` says whose they are.

    Readers other than the one that is scraped show the calls by themselves.
    """

    def __init__(
        self,
        resource: Mapping[str, str],
        calls: StoreCalls,
        readers: Sequence[MetricReader] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = CollectorRegistry()
        self._provider = MeterProvider(
            [ScrapedReader(self._registry, calls), *readers],
            Resource.create(dict(resource)),
            # It is closed by `close`; a hook of the interpreter would keep it alive.
            shutdown_on_exit=False,
        )
        self._meter = self._provider.get_meter(SCOPE)
        self._clock = clock
        self._exposition = b""
        self._render_at = clock()
        self.observe(PROCESS, process_values)

    def observe(self, instruments: Iterable[Instrument], read: Read) -> None:
        """Show what `read` returns at each scrape; a key that it leaves out is not shown."""
        for instrument in instruments:
            create = {
                Kind.COUNTER: self._meter.create_observable_counter,
                Kind.GAUGE: self._meter.create_observable_gauge,
            }[instrument.kind]
            create(
                instrument.name,
                [_callback(instrument, read)],
                unit=instrument.unit,
                description=instrument.description,
            )

    def exposition(self) -> bytes:
        """All metrics as Prometheus text, at most a second old."""
        now = self._clock()
        if now >= self._render_at:
            self._exposition = generate_latest(self._registry)
            self._render_at = now + SCRAPE_SECONDS
        return self._exposition

    def close(self) -> None:
        """Push what is left to push, within bounds."""
        self._provider.shutdown(CLOSE_MS)


def _callback(
    instrument: Instrument, read: Read
) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_options: CallbackOptions) -> Iterable[Observation]:
        values = read()
        return [
            Observation(values[key] * instrument.scale, attributes)
            for key, attributes in instrument.series.items()
            if key in values
        ]

    return observe
