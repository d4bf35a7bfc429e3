"""Sampled traces of requests, following `traceparent` (W3C Trace Context).

A span carries method, route template, status and what the L1 did: never an id, a path or a cookie.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags

from moorline_sidecar.telemetry.spans import Span

_TRACEPARENT: Final = re.compile(
    rb"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-|\Z)"
)
_SAMPLED: Final = 0x01
_SERVER_ERROR: Final = 500


class Tracing:
    """Decides which requests are traced, and hands their spans to `processors`.

    A request that comes with a trace is traced iff its caller was; `ratio` is for all others.
    """

    def __init__(
        self,
        ratio: float,
        resource: Mapping[str, str],
        processors: Iterable[SpanProcessor],
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._ratio = ratio
        self._draw = draw
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=Resource.create(dict(resource)), shutdown_on_exit=False
        )
        for processor in processors:
            self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("moorline_sidecar")

    def sample(self, traceparent: bytes | None) -> Span | None:
        """A span, started, if this request is to be traced."""
        if traceparent is None and not self._ratio:
            return None
        parent = _parent(traceparent) if traceparent is not None else None
        if parent is None:
            is_sampled = self._draw() < self._ratio
        else:
            is_sampled = bool(parent.trace_flags & _SAMPLED)
        return _RequestSpan(self._start(parent)) if is_sampled else None

    def close(self) -> None:
        """Hand over what is left, within the bounds of the processors."""
        self._provider.shutdown()

    def _start(self, parent: SpanContext | None) -> trace.Span:
        # An empty context: what another library has made current is no parent of a request.
        context = Context()
        if parent is not None:
            context = trace.set_span_in_context(NonRecordingSpan(parent), context)
        return self._tracer.start_span("request", context, SpanKind.SERVER)


class _RequestSpan:
    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def end(self, method: str, route: str, status: int, cache: str | None = None) -> None:
        span = self._span
        span.update_name(f"{method} {route}")
        span.set_attributes(
            {
                "http.request.method": method,
                "http.route": route,
                "http.response.status_code": status,
            }
        )
        if cache is not None:
            span.set_attribute("moorline.cache.result", cache)
        if status >= _SERVER_ERROR:
            span.set_attribute("error.type", str(status))
            span.set_status(StatusCode.ERROR)
        span.end()


def _parent(traceparent: bytes) -> SpanContext | None:
    """None for a malformed one, which counts as none."""
    match = _TRACEPARENT.match(traceparent)
    if match is None:
        return None
    context = SpanContext(
        trace_id=int(match[1], 16),
        span_id=int(match[2], 16),
        is_remote=True,
        trace_flags=TraceFlags(int(match[3], 16)),
    )
    return context if context.is_valid else None
