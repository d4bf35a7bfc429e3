import dataclasses
import io
import json
import logging
import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import structlog
from moorline_sidecar.sessions.counters import Counters
from moorline_sidecar.telemetry import configure_logs, short_hash
from moorline_sidecar.telemetry.instruments import PROCESS, SESSIONS, TRAFFIC
from moorline_sidecar.telemetry.metrics import Metrics
from moorline_sidecar.telemetry.observation import Observation
from moorline_sidecar.telemetry.process import process_values
from moorline_sidecar.telemetry.spans import never
from moorline_sidecar.telemetry.store_calls import StoreCalls
from moorline_sidecar.telemetry.tracing import Tracing
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from structlog.testing import capture_logs

from tests.sidecar.otlp_collector import collector

PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = PARENT[:-2] + b"00"


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_line_of_json() -> None:
    stream = io.StringIO()
    configure_logs("info", {"worker": "node3"}, stream)
    structlog.get_logger().warning("the store is\nout of reach", why="no route", count=3)
    (line,) = lines(stream)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "message": "the store is\nout of reach",
        "why": "no route",
        "count": 3,
        "worker": "node3",
    }


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_the_level_decides_what_is_written(level: str, expected: list[str]) -> None:
    stream = io.StringIO()
    configure_logs(level, stream=stream)
    logger = structlog.get_logger()
    for method in ("debug", "info", "warning", "error"):
        getattr(logger, method)("something")
    assert [line["level"] for line in lines(stream)] == expected


def fail_with_a_secret_in_a_local() -> None:
    secret = "mongodb://user:pa55@db"
    raise ValueError(f"no {secret[:7]}")


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["machine", "person"])
def test_a_traceback_shows_no_local_variables(stream: io.StringIO) -> None:
    configure_logs("info", stream=stream)
    try:
        fail_with_a_secret_in_a_local()
    except ValueError:
        structlog.get_logger().exception("it failed")
    assert "no mongodb" in stream.getvalue()
    assert "fail_with_a_secret_in_a_local" in stream.getvalue()
    assert "pa55@" not in stream.getvalue()


def test_a_person_gets_text() -> None:
    stream = Terminal()
    configure_logs("info", stream=stream)
    structlog.get_logger().info("listening", address="127.0.0.1:7070")
    assert "listening" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_what_libraries_log_is_told_in_the_same_way() -> None:
    stream = io.StringIO()
    configure_logs("info", stream=stream)
    library = logging.getLogger("library.command")
    library.debug("find {_id: secret}")
    library.info("connected")
    library.error("a %s failed", "call")
    library.critical("badly")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    told = lines(stream)
    assert [(line["level"], line["logger"]) for line in told] == [
        ("error", "library.command"),
        ("error", "library.command"),
        ("warning", "py.warnings"),
    ]
    assert told[0]["message"] == "a call failed"


def test_a_value_of_any_kind_can_be_logged() -> None:
    stream = io.StringIO()
    configure_logs("info", stream=stream)
    structlog.get_logger().info("odd", value=ValueError("x"), number=1.5, items={"a": {1}})
    (line,) = lines(stream)
    assert line["value"] == "x"


def test_a_short_hash_stands_for_an_id() -> None:
    assert short_hash("A" * 32) == short_hash("A" * 32) != short_hash("B" * 32)
    assert len(short_hash("A" * 32)) == 8


def sample_of(metrics: Metrics, name: str) -> float:
    for line in metrics.exposition().decode().splitlines():
        if line.startswith(f"{name} "):
            return float(line.rpartition(" ")[2])
    raise KeyError(name)


@pytest.fixture(name="calls")
def _calls() -> StoreCalls:
    return StoreCalls("mongodb")


@pytest.fixture(name="metrics")
def _metrics(calls: StoreCalls) -> Iterator[Metrics]:
    resource = {"service.name": "moorline-sidecar"}
    metrics = Metrics(resource, calls, clock=iter(range(10**6)).__next__)
    yield metrics
    metrics.close()


def test_integers_are_read_when_somebody_asks(metrics: Metrics) -> None:
    values: dict[str, float] = {"created": 1, "hits": 5, "misses": 2, "lifetime_total_ms": 1500}
    metrics.observe(SESSIONS, lambda: values)
    assert sample_of(metrics, "moorline_sessions_created_total") == 1
    values["created"] = 4
    assert sample_of(metrics, "moorline_sessions_created_total") == 4
    assert sample_of(metrics, 'moorline_reads_total{moorline_cache_result="hit"}') == 5
    assert sample_of(metrics, 'moorline_reads_total{moorline_cache_result="miss"}') == 2
    assert sample_of(metrics, "moorline_sessions_lifetime_seconds_total") == 1.5
    assert b"moorline_unsaved" not in metrics.exposition(), "what is not read is not shown"


def test_a_second_scrape_within_a_second_shows_the_first(calls: StoreCalls) -> None:
    now = 0.0
    metrics = Metrics({}, calls, clock=lambda: now)
    reads = 0

    def read() -> Mapping[str, float]:
        nonlocal reads
        reads += 1
        return {"created": reads}

    metrics.observe(SESSIONS[4:5], read)
    first = metrics.exposition()
    assert metrics.exposition() is first
    assert reads == 1
    now = 1.0
    assert metrics.exposition() is not first
    metrics.close()


def test_the_process_is_shown(metrics: Metrics) -> None:
    assert sample_of(metrics, "process_memory_usage_bytes") > 10**6
    assert sample_of(metrics, "process_unix_file_descriptor_count") > 2
    assert sample_of(metrics, 'process_cpu_time_seconds_total{cpu_mode="user"}') > 0


def test_calls_of_the_store_are_a_histogram(metrics: Metrics, calls: StoreCalls) -> None:
    calls.record("load", 0.004)
    calls.record("load", 3.0, "StoreUnavailable")
    text = metrics.exposition().decode()
    labels = 'db_operation_name="load",db_system_name="mongodb",error_type=""'
    assert f'db_client_operation_duration_seconds_bucket{{{labels},le="0.005"}} 1.0' in text
    assert 'error_type="StoreUnavailable"' in text


def test_several_processes_in_one_do_not_share_metrics(calls: StoreCalls) -> None:
    one, two = Metrics({}, calls), Metrics({}, calls)
    one.observe(SESSIONS, lambda: {"created": 1})
    assert b"moorline_sessions_created" not in two.exposition()
    one.close()
    two.close()


def test_every_counter_of_the_sessions_layer_is_shown() -> None:
    shown = {key for instrument in SESSIONS for key in instrument.series}
    # Mean, maximum and deviation of lifetimes cannot be added up over workers.
    statistics = {"ended_lifetimes", "lifetime_max_ms", "lifetime_mean_ms", "lifetime_squares"}
    assert set(dataclasses.asdict(Counters())) - statistics <= shown


def test_no_metric_is_in_two_tables() -> None:
    names = [instrument.name for instrument in (*SESSIONS, *TRAFFIC, *PROCESS)]
    assert len(names) == len(set(names))
    assert set(process_values()) == {key for instrument in PROCESS for key in instrument.series}


@pytest.fixture(name="exporter")
def _exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


def tracing(exporter: InMemorySpanExporter, ratio: float, draw: float = 0.5) -> Tracing:
    return Tracing(ratio, {}, [SimpleSpanProcessor(exporter)], draw=lambda: draw)


@pytest.mark.parametrize(
    ("ratio", "traceparent", "is_traced"),
    [
        pytest.param(0.0, None, False, id="never, without a parent"),
        pytest.param(0.0, UNSAMPLED, False, id="never, and the parent was not"),
        pytest.param(0.0, PARENT, True, id="never, but the parent was"),
        pytest.param(0.6, None, True, id="drawn"),
        pytest.param(0.5, None, False, id="not drawn"),
        pytest.param(1.0, UNSAMPLED, False, id="always, but the parent was not"),
        pytest.param(0.6, b"garbage", True, id="a malformed parent is none"),
        pytest.param(0.0, b"garbage", False, id="a malformed parent, never"),
        pytest.param(0.0, b"ff" + PARENT[2:], False, id="a version that is forbidden"),
        pytest.param(0.0, b"00-" + b"0" * 32 + PARENT[35:], False, id="an empty trace"),
        pytest.param(0.0, b"01" + PARENT[2:] + b"-more", True, id="a later version"),
        pytest.param(0.0, PARENT.upper(), False, id="upper case"),
    ],
)
def test_the_parent_or_the_ratio_decides(
    exporter: InMemorySpanExporter, ratio: float, traceparent: bytes | None, *, is_traced: bool
) -> None:
    span = tracing(exporter, ratio).sample(traceparent)
    assert (span is not None) is is_traced


def test_a_span_says_what_happened_and_no_more(exporter: InMemorySpanExporter) -> None:
    span = tracing(exporter, 0).sample(PARENT)
    assert span is not None
    span.end("GET", "/v1/sessions/{id}", 200, "hit")
    (told,) = exporter.get_finished_spans()
    assert told.name == "GET /v1/sessions/{id}"
    assert told.kind is SpanKind.SERVER
    assert told.parent is not None
    assert f"{told.parent.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert told.context is not None
    assert told.context.trace_id == told.parent.trace_id
    assert dict(told.attributes or {}) == {
        "http.request.method": "GET",
        "http.route": "/v1/sessions/{id}",
        "http.response.status_code": 200,
        "moorline.cache.result": "hit",
    }


def test_a_failure_of_the_server_is_marked(exporter: InMemorySpanExporter) -> None:
    span = tracing(exporter, 1).sample(None)
    assert span is not None
    span.end("PATCH", "/v1/session", 503)
    (told,) = exporter.get_finished_spans()
    assert told.status.status_code is StatusCode.ERROR
    assert (told.attributes or {})["error.type"] == "503"


def test_who_traces_nothing_samples_nothing() -> None:
    assert never(PARENT) is None


async def test_metrics_and_spans_are_pushed_where_that_is_wanted() -> None:
    with collector() as (endpoint, received):
        observation = Observation({}, endpoint, 1.0, "mongodb")
        span = observation.sample(None)
        assert span is not None
        span.end("GET", "/v1/session", 200)
        await observation.start([(SESSIONS, lambda: {"created": 1})])
        await observation.close()
    assert sorted(path for path, _ in received) == ["/v1/metrics", "/v1/traces"]


async def test_metrics_are_there_once_they_are_up() -> None:
    observation = Observation({}, None, 1.0, "mongodb")
    assert observation.sample is never
    assert observation.exposition() is None
    observation.store_calls.record("load", 1.0, None)
    await observation.start([(SESSIONS, lambda: {"created": 1})])
    observation.store_calls.record("load", 1.0, None)
    text = (observation.exposition() or b"").decode()
    assert "moorline_sessions_created_total 1.0" in text
    labels = 'db_operation_name="load",db_system_name="mongodb"'
    assert f"db_client_operation_duration_seconds_count{{{labels}}} 2.0" in text
    await observation.close()


async def test_without_the_extra_nothing_is_pushed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("trace_exporter", "metric_exporter"):
        monkeypatch.setitem(sys.modules, f"opentelemetry.exporter.otlp.proto.http.{name}", None)
    with capture_logs() as told:
        observation = Observation({}, "http://127.0.0.1:1/", 1.0, "mongodb")
        assert observation.sample is never
        await observation.start([])
        assert observation.exposition()
        await observation.close()
    assert len(told) == 1
    assert "[otlp]" in told[0]["event"]


async def test_what_was_never_started_is_closed_at_once() -> None:
    await Observation({}, None, 0.0, "mongodb").close()
