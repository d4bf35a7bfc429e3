from collections.abc import Awaitable

import pytest
from moorline_sidecar.http.messages import Request, Response
from moorline_sidecar.http.traced import Traced, traced
from moorline_sidecar.telemetry.spans import Span

ID = "A" * 32
HIT = Response(200, b"Content-Type: application/json\r\nMoorline-Cache: hit\r\nETag: x\r\n", b"{}")


class Application:
    """Answers everything the same way, at once or not."""

    def __init__(self, response: Response, *, is_awaitable: bool = False) -> None:
        self._response = response
        self._is_awaitable = is_awaitable

    def screen(self, head: Request) -> Response | None:
        return self._response if head.method == b"TRACE" else None

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        del request
        return self._later() if self._is_awaitable else self._response

    async def _later(self) -> Response:
        return self._response


class Spans:
    """Samples what has a parent, and keeps what the spans were told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, int, str | None]] = []

    def sample(self, traceparent: bytes | None) -> Span | None:
        return self if traceparent else None

    def end(self, method: str, route: str, status: int, cache: str | None = None) -> None:
        self.told.append((method, route, status, cache))


def request(path: str, **headers: bytes) -> Request:
    return Request(b"GET", path.encode(), b"", {k.encode(): v for k, v in headers.items()})


@pytest.mark.parametrize(
    ("path", "route"),
    [
        (f"/v1/sessions/{ID}", "/v1/sessions/{id}"),
        (f"/v1/sessions/{ID}/attributes/secret", "/v1/sessions/{id}/attributes/{name}"),
        ("/v1/principals/ada/sessions", "/v1/principals/{principal}/sessions"),
        ("/v1/session", "/v1/session"),
        (f"/{ID}", "/"),
        ("/v1/principals/%ff/sessions", "/"),
    ],
)
async def test_a_span_has_the_route_and_never_the_path(path: str, route: str) -> None:
    spans = Spans()
    application = Traced(Application(HIT), spans.sample)
    assert application.handle(request(path, traceparent=b"x")) is HIT
    assert spans.told == [("GET", route, 200, "hit")]


async def test_a_span_ends_with_the_answer() -> None:
    spans = Spans()
    answer = Response(503)
    application = Traced(Application(answer, is_awaitable=True), spans.sample)
    pending = application.handle(request("/v1/session", traceparent=b"x"))
    assert not isinstance(pending, Response)
    assert not spans.told
    assert await pending is answer
    assert spans.told == [("GET", "/v1/session", 503, None)]


async def test_what_is_not_sampled_is_handed_through() -> None:
    spans = Spans()
    application = Traced(Application(HIT), spans.sample)
    assert application.handle(request("/v1/session")) is HIT
    assert application.screen(Request(b"TRACE", b"/", b"", {})) is HIT
    assert application.screen(request("/")) is None
    assert not spans.told


@pytest.mark.parametrize(("framed", "told"), [(b"200", 1), (None, 0)], ids=["a hit", "no answer"])
@pytest.mark.parametrize(
    ("data", "route"),
    [
        (b"GET /v1/sessions/%b HTTP/1.1\r\n" % ID.encode(), "/v1/sessions/{id}"),
        (b"GET /v1/session HTTP/1.1\r\n", "/v1/session"),
    ],
    ids=["by id", "by cookie"],
)
def test_a_hit_that_needs_no_parsing_leaves_a_span_if_it_is_sampled(
    data: bytes, route: str, framed: bytes | None, told: int
) -> None:
    spans = Spans()

    assert traced(lambda _: framed, lambda _: spans)(data) is framed
    assert spans.told == told * [("GET", route, 200, "hit")]
    assert traced(lambda _: framed, spans.sample)(data) is framed
    assert len(spans.told) == told
