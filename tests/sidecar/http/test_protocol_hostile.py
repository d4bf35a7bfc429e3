"""Hostile bytes get one clean answer and a closed connection: no hang, no traceback, no second."""

import gc
import sys
from resource import RUSAGE_SELF, getrusage
from statistics import median

import pytest
from moorline_sidecar.http.limits import Limits
from moorline_sidecar.http.messages import Request, Response
from structlog.testing import capture_logs

from tests.sidecar.http.echo import Echo, eventually, received, request, serving
from tests.sidecar.http.hostile import CASES, CHUNKED, GET, POST
from tests.sidecar.http.raw_client import connected

FLOODS, ROUNDS = 10, 17
"""How often all cases are sent while memory is watched: about 20,000 requests in all."""

BAD = [pytest.param(*case, id=name) for name, case in CASES.items()]

NAMES = {
    400: "malformed-request",
    404: "session-unknown",
    413: "too-large",
    431: "headers-too-large",
}


@pytest.mark.parametrize(("raw", "status"), BAD)
async def test_bad_bytes_are_refused_and_nothing_after_them_is_served(
    raw: bytes, status: int
) -> None:
    application = Echo()
    with capture_logs() as logs:
        async with serving(application) as plane, connected(plane.port) as client:
            answer = await client.ask(raw + request("/never"))
            assert answer.status == status
            assert answer.problem == NAMES[status]
            assert answer.closes
            assert await client.is_closed()
            assert application.requests == []
            assert plane.traffic.refused == 1
    assert logs == []


@pytest.mark.parametrize(("raw", "status"), BAD)
async def test_requests_before_bad_bytes_are_answered_first(raw: bytes, status: int) -> None:
    async with serving() as plane, connected(plane.port) as client:
        await client.send(request("/now") + request("/later") + raw)
        assert [(await client.answer()).status for _ in range(3)] == [200, 200, status]
        assert await client.is_closed()


UNFINISHED = [
    pytest.param(GET, id="head"),
    pytest.param(GET[:-1], id="line end"),
    pytest.param(b"G", id="method"),
    pytest.param(POST + b"Content-Length: 5\r\n\r\nabc", id="body"),
    pytest.param(CHUNKED + b"5\r\nab", id="chunk"),
    pytest.param(CHUNKED + b"5\r\nabcde\r\n0\r\n", id="trailers"),
    pytest.param(b"", id="nothing"),
    pytest.param(b"\r\n\r\n", id="empty lines"),
]


@pytest.mark.parametrize("raw", UNFINISHED)
@pytest.mark.parametrize("leave", ["finish", "abort"])
async def test_who_leaves_in_the_middle_leaves_nothing_behind(raw: bytes, leave: str) -> None:
    application = Echo()
    with capture_logs() as logs:
        async with serving(application) as plane, connected(plane.port) as client:
            await client.send(raw)
            await received(plane, len(raw))
            getattr(client, leave)()
            await eventually(lambda: plane.traffic.accepted == 1 and plane.connections == 0)
    assert (application.requests, logs) == ([], [])


async def test_the_answer_to_a_refused_upload_can_be_read() -> None:
    # Closed at once, the connection would be reset over the unread bytes, and the answer lost.
    async with serving(drain_bytes=300_000) as plane, connected(plane.port) as client:
        await client.send(POST + b"Content-Length: 9000000\r\n\r\n" + bytes(200_000))
        answer = await client.answer()
        assert answer.problem == "too-large"
        assert answer.members["limit"] == Limits().body_bytes
        await client.send(bytes(90_000))
        await eventually(lambda: plane.traffic.flow.received > 290_000)
        assert await client.is_closed()


async def test_an_upload_is_not_drained_for_ever() -> None:
    async with serving(drain_bytes=100_000) as plane, connected(plane.port) as client:
        await client.send(POST + b"Content-Length: 9000000\r\n\r\n")
        assert (await client.answer()).status == 413
        with pytest.raises(ConnectionError):
            await client.send_for_ever(bytes(100_000))


class Indifferent:
    """An application that keeps nothing of what it is asked."""

    def screen(self, head: Request) -> Response | None:
        return Response(404) if head.path == b"/unwanted" else None

    def handle(self, _: Request) -> Response:
        return Response(204)


async def flood(port: int, rounds: int) -> None:
    for _ in range(rounds):
        for raw, _ in CASES.values():
            async with connected(port) as client:
                await client.send(raw)
                client.finish()
                assert await client.rest()


async def left_by_a_flood(port: int) -> int:
    """The blocks of memory that are taken after it, and were not before."""
    gc.collect()
    blocks = sys.getallocatedblocks()
    await flood(port, ROUNDS)
    gc.collect()
    return sys.getallocatedblocks() - blocks


@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_floods_of_bad_requests_leave_memory_as_it_was() -> None:
    with capture_logs() as logs:
        async with serving(Indifferent()) as plane:
            await flood(plane.port, ROUNDS)
            peak_kib = getrusage(RUSAGE_SELF).ru_maxrss
            left = [await left_by_a_flood(plane.port) for _ in range(FLOODS)]
            # Hundreds are kept by the loop for what it makes next, once and by whichever flood.
            assert median(left) < ROUNDS
            assert getrusage(RUSAGE_SELF).ru_maxrss - peak_kib < 4096
            assert plane.traffic.refused == (FLOODS + 1) * ROUNDS * len(CASES)
    assert logs == []
