"""What the operator tells of itself: metrics under these names and nowhere else, and logs."""

import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec
import structlog
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, generate_latest
from structlog.typing import EventDict

Values = Iterable[tuple[float, Mapping[str, str]]]
"""Values of one gauge, each with the attributes it is shown with."""

_SECONDS: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0)

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


class Telemetry:
    """The metrics of this process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        reader = PrometheusMetricReader(scope_info_enabled=False, registry=self._registry)
        resource = Resource.create({"service.name": "moorline-operator"})
        self._provider = MeterProvider([reader], resource, shutdown_on_exit=False)
        self._meter = self._provider.get_meter("moorline_operator")
        self._reconciles = self._counter("reconciles", "SessionClusters looked at.")
        self._reconcile_seconds = self._histogram("reconcile", "How long looking at one took.")
        self._admissions = self._counter("admissions", "Pods that the webhook was asked about.")
        self._admission_seconds = self._histogram("admission", "How long an answer took.")
        self._names = self._counter("names", "Worker names given.")
        self._naming_seconds = self._histogram("naming", "From a pod's being seen to its name.")

    def reconciled(self, seconds: float, *, is_good: bool) -> None:
        self._reconciles.add(1, {"result": "ok" if is_good else "error"})
        self._reconcile_seconds.record(seconds)

    def admitted(self, result: str, seconds: float) -> None:
        """One answer of the webhook; `result` is `injected`, `ignored`, `refused` or `failed`."""
        self._admissions.add(1, {"result": result})
        self._admission_seconds.record(seconds)

    def named(self, seconds: float) -> None:
        self._names.add(1)
        self._naming_seconds.record(seconds)

    def show_leader(self, read: Callable[[], Values]) -> None:
        self._gauge("leader", "", "1 where this replica leads.", read)

    def show_clusters(self, read: Callable[[], Values]) -> None:
        self._gauge("clusters", "", "SessionClusters.", read)

    def show_workers(self, read: Callable[[], Values]) -> None:
        self._gauge("workers", "", "Pods of a SessionCluster, by state.", read)

    def show_queue(self, read: Callable[[], Values]) -> None:
        self._gauge("queue", "", "SessionClusters waiting to be looked at.", read)

    def show_watches(self, read: Callable[[], Values]) -> None:
        self._gauge("watch.silence", "s", "Since anything was heard of a watch.", read)

    def show_certificate(self, read: Callable[[], Values]) -> None:
        self._gauge("certificate.remaining", "s", "Until the webhook's certificate ends.", read)

    def exposition(self) -> bytes:
        """All metrics as Prometheus text."""
        return generate_latest(self._registry)

    def close(self) -> None:
        self._provider.shutdown()

    def _counter(self, name: str, description: str) -> Counter:
        return self._meter.create_counter(f"moorline.operator.{name}", description=description)

    def _histogram(self, name: str, description: str) -> Histogram:
        return self._meter.create_histogram(
            f"moorline.operator.{name}.duration",
            unit="s",
            description=description,
            explicit_bucket_boundaries_advisory=_SECONDS,
        )

    def _gauge(self, name: str, unit: str, description: str, read: Callable[[], Values]) -> None:
        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            return [Observation(value, attributes) for value, attributes in read()]

        self._meter.create_observable_gauge(
            f"moorline.operator.{name}", [observe], unit=unit, description=description
        )


def configure_logs(level: str) -> None:
    """One line of JSON an event on stderr, from `level` on; of libraries only warnings."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(serializer=_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.captureWarnings(capture=True)
    logging.basicConfig(level=logging.WARNING, handlers=[_Forward()], force=True)


def _json(event: EventDict, **_options: object) -> str:
    first = {name: event.pop(name) for name in ("time", "level", "message") if name in event}
    return msgspec.json.encode({**first, **event}, enc_hook=str).decode()


class _Forward(logging.Handler):
    """Hands what libraries log to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            structlog.get_logger().log(
                min(record.levelno, logging.ERROR),
                record.getMessage(),
                logger=record.name,
                exc_info=record.exc_info,
            )
        except Exception:  # noqa: BLE001 - as in every handler: logging never breaks its caller
            self.handleError(record)
