"""An application whose sampled requests leave a span."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from moorline_sidecar.errors import InvalidRequest
from moorline_sidecar.http.messages import Application, Quick, Request, Response
from moorline_sidecar.http.shortcut_by_cookie import COOKIE_LINE
from moorline_sidecar.http.targets import target_of
from moorline_sidecar.telemetry.spans import Sample, Span

_CACHE: Final = b"Moorline-Cache: "
_UNKNOWN_ROUTE: Final = "/"
_HIT_BY_ID: Final = "/v1/sessions/{id}"
_HIT_BY_COOKIE: Final = "/v1/session"


class Traced:
    """`application`, traced; only used where there is anyone to send spans to."""

    def __init__(self, application: Application, sample: Sample) -> None:
        self._application = application
        self._sample = sample

    def screen(self, head: Request) -> Response | None:
        return self._application.screen(head)

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        span = self._sample(request.headers.get(b"traceparent"))
        answer = self._application.handle(request)
        if span is None:
            return answer
        if isinstance(answer, Response):
            _end(span, request, answer)
            return answer
        return _traced(span, request, answer)


def traced(quick: Quick, sample: Sample) -> Quick:
    """`quick`, which answers hits on sessions, traced; its spans are without duration."""

    def answer(data: bytes) -> bytes | None:
        framed = quick(data)
        if framed is not None:
            span = sample(None)
            if span is not None:
                is_by_cookie = data.startswith(COOKIE_LINE)
                route = _HIT_BY_COOKIE if is_by_cookie else _HIT_BY_ID
                span.end("GET", route, 200, "hit")
        return framed

    return answer


async def _traced(span: Span, request: Request, answer: Awaitable[Response]) -> Response:
    response = await answer
    _end(span, request, response)
    return response


def _end(span: Span, request: Request, response: Response) -> None:
    span.end(request.method.decode(), _route(request), response.status, _cache(response))


def _route(request: Request) -> str:
    """The template: what a path holds in the places of its parameters is nobody's business."""
    try:
        target = target_of(request.path)
    except InvalidRequest:
        target = None
    return _UNKNOWN_ROUTE if target is None else "/".join(("/v1", *target.route))


def _cache(response: Response) -> str | None:
    _, found, rest = response.fields.partition(_CACHE)
    return rest.partition(b"\r\n")[0].decode() if found else None
