import asyncio
import socket
from collections.abc import AsyncIterator

import aiohttp
import msgspec
import pytest
from moorline_sidecar.config import Address
from moorline_sidecar.errors import InvalidRequest, OutcomeUnknown, StoreUnavailable
from moorline_sidecar.http.health import Readiness, health_application
from moorline_sidecar.http.messages import Request, Response
from moorline_sidecar.http.routes import Routes
from moorline_sidecar.http.site import CONNECTIONS_MAX, Site, listeners
from structlog.testing import capture_logs

LOOPBACK = Address("127.0.0.1", 0)


class Metrics:
    """A text that may not be there yet."""

    def __init__(self) -> None:
        self.text: bytes | None = b"up 1.0\n"

    def exposition(self) -> bytes | None:
        return self.text


@pytest.fixture
def readiness() -> Readiness:
    return Readiness()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def url(readiness: Readiness, metrics: Metrics) -> AsyncIterator[str]:
    application = health_application(readiness, "node3", metrics.exposition)
    async with Site(application, LOOPBACK) as site:
        yield f"http://{site.address}"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_the_process_works(url: str, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{url}/healthz") as response:
        assert response.status == 200
        assert await response.json() == {"ok": True}
        assert "Server" not in response.headers


async def test_readiness_says_why_not(
    url: str, http: aiohttp.ClientSession, readiness: Readiness
) -> None:
    async with http.get(f"{url}/readyz") as response:
        assert response.status == 503
        assert await response.json() == {"ready": False, "reason": "starting", "worker": "node3"}
    readiness.reason = None
    async with http.get(f"{url}/readyz") as response:
        assert response.status == 200
        assert await response.json() == {"ready": True, "reason": None, "worker": "node3"}


async def test_metrics_are_served_once_they_are_there(
    url: str, http: aiohttp.ClientSession, metrics: Metrics
) -> None:
    async with http.get(f"{url}/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert await response.read() == b"up 1.0\n"
    metrics.text = None
    async with http.get(f"{url}/metrics") as response:
        assert response.status == 503
        assert response.headers["Retry-After"] == "1"


async def test_head_is_answered_without_a_body(url: str, http: aiohttp.ClientSession) -> None:
    async with http.head(f"{url}/healthz") as response:
        assert response.status == 200
        assert await response.read() == b""


@pytest.mark.parametrize(
    "path", ["/", "/v1/stats", "/v1/sessions", "/healthz/", "/metrics/x", "/x%2Fhealthz"]
)
async def test_nothing_else_is_served(url: str, http: aiohttp.ClientSession, path: str) -> None:
    async with http.get(url + path) as response:
        assert response.status == 404
        assert response.headers["Content-Type"] == "application/problem+json"
        assert (await response.json(content_type=None))["type"].endswith(":route-unknown")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_health_is_only_read(url: str, http: aiohttp.ClientSession, method: str) -> None:
    async with http.request(method, f"{url}/readyz") as response:
        assert response.status == 405
        assert response.headers["Allow"] == "GET, HEAD"


async def test_a_browser_and_any_host_may_probe(url: str, http: aiohttp.ClientSession) -> None:
    headers = {"Origin": "http://evil.example", "Host": "pod.example:7071"}
    async with http.get(f"{url}/healthz", headers=headers) as response:
        assert response.status == 200


@pytest.mark.parametrize(
    "request_text",
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nBad Header: x\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"\xff\xfe\x00",
    ],
    ids=["empty", "no path", "odd version", "bad name", "long path", "long field", "bytes"],
)
async def test_garbage_is_refused_without_a_traceback(url: str, request_text: bytes) -> None:
    with capture_logs() as told:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(request_text)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert answer == b"" or answer.startswith(b"HTTP/1.")
    assert b"Traceback" not in answer
    assert not told


async def test_whoever_holds_connections_keeps_no_probe_out(
    url: str, http: aiohttp.ClientSession
) -> None:
    port = int(url.rpartition(":")[2])
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS_MAX + 50)]
    async with http.get(f"{url}/healthz") as response:
        assert response.status == 200
    # The oldest were closed to make room, the youngest are still there.
    async with asyncio.timeout(10):
        assert await held[0][0].read() == b""
    assert not held[-1][0].at_eof()
    for _, writer in held:
        writer.close()


async def test_a_failure_is_logged_once_and_shows_nothing(http: aiohttp.ClientSession) -> None:
    def broken() -> bytes:
        raise ValueError("something private")

    application = health_application(Readiness(), "node3", broken)
    with capture_logs() as told:
        async with (
            Site(application, LOOPBACK) as site,
            http.get(f"http://{site.address}/metrics") as response,
        ):
            assert response.status == 500
            assert b"private" not in await response.read()
    assert [line["log_level"] for line in told] == ["error"]


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (StoreUnavailable("away"), 503, "store-unavailable"),
        (OutcomeUnknown("lost"), 504, "outcome-unknown"),
        (InvalidRequest("invalid-id", "none"), 400, "invalid-id"),
    ],
    ids=["store away", "outcome unknown", "invalid"],
)
async def test_an_expected_failure_is_a_problem(
    http: aiohttp.ClientSession, error: Exception, status: int, name: str
) -> None:
    async def fail(_request: Request, _: str) -> Response:
        raise error

    async with (
        Site(Routes({"GET /": fail}), LOOPBACK) as site,
        http.get(f"http://{site.address}/") as response,
    ):
        assert response.status == status
        problem = await response.json(content_type=None)
        assert problem["type"] == f"urn:moorline:problem:{name}"
        assert ("Retry-After" in response.headers) is (status == 503)


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


async def test_all_addresses_are_both_families_on_one_port(http: aiohttp.ClientSession) -> None:
    application = health_application(Readiness(None), "node3", lambda: None)
    async with Site(application, Address("", 0)) as site:
        for host in ["127.0.0.1", "[::1]"] if has_ipv6() else ["127.0.0.1"]:
            async with http.get(f"http://{host}:{site.address.port}/readyz") as response:
                assert response.status == 200


async def test_a_port_that_is_taken_is_an_error_and_leaves_nothing_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        site = Site(Routes({}), Address("127.0.0.1", taken.getsockname()[1]))
        with pytest.raises(OSError, match="in use"):
            async with site:
                pytest.fail("it listens on a port that is taken")


def test_a_name_stands_for_all_its_addresses() -> None:
    found = listeners(Address("localhost", 0))
    ports = {listener.getsockname()[1] for listener in found}
    assert len(ports) == 1
    for listener in found:
        listener.close()


async def test_the_end_waits_for_no_idle_connection(readiness: Readiness) -> None:
    application = health_application(readiness, "node3", lambda: None)
    async with Site(application, LOOPBACK) as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.address.port)
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()


def test_readiness_is_plain_json() -> None:
    assert msgspec.to_builtins(Readiness()) == {"reason": "starting"}
