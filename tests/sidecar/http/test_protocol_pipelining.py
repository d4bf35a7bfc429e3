"""Several requests on their way at once: answered in order, one at a time, within bounds."""

import asyncio

from tests.sidecar.http.echo import Echo, eventually, request, serving
from tests.sidecar.http.raw_client import connected


async def test_pipelined_requests_are_answered_in_order_whatever_takes_longer() -> None:
    targets = [f"/later?{n}" if n % 3 == 0 else f"/now?{n}" for n in range(100)]
    async with serving() as plane, connected(plane.port) as client:
        await client.send(b"".join(map(request, targets)))
        queries = [(await client.answer()).members["query"] for _ in targets]
        assert queries == [str(n) for n in range(100)]


async def test_a_pipeline_longer_than_the_queue_waits_its_turn() -> None:
    application = Echo()
    async with (
        serving(application, pipelined_requests=4) as plane,
        connected(plane.port) as client,
    ):
        await client.send(request("/gated") + b"".join(request(f"/{n}") for n in range(5000)))
        await eventually(lambda: len(application.requests) == 1)
        application.gate.set()
        assert (await client.answer()).members["path"] == "/gated"
        for n in range(5000):
            assert (await client.answer()).members["path"] == f"/{n}"


async def test_nothing_of_a_pipeline_begins_before_its_turn() -> None:
    application = Echo()
    async with serving(application) as plane, connected(plane.port) as client:
        await client.send(request("/gated?1") + request("/gated?2") + request("/now"))
        await eventually(lambda: len(application.requests) == 1)
        application.gate.set()
        assert [(await client.answer()).members["query"] for _ in range(3)] == ["1", "2", ""]
        assert application.finished == [b"1", b"2"]


async def test_what_comes_after_the_last_request_is_not_looked_at() -> None:
    application = Echo()
    async with serving(application) as plane, connected(plane.port) as client:
        await client.send(request("/later", "Connection: close") + request("/never") + b"\x00")
        assert (await client.answer()).closes
        assert await client.is_closed()
        assert [asked.path for asked in application.requests] == [b"/later"]


async def test_to_continue_waits_for_the_answers_before_it() -> None:
    application = Echo()
    async with serving(application) as plane, connected(plane.port) as client:
        later = request("/second", "Expect: 100-continue", method="PUT", body=b"abc")
        await client.send(request("/gated") + later)
        await eventually(lambda: len(application.screened) == 1)
        application.gate.set()
        assert [(await client.answer()).status for _ in range(3)] == [200, 100, 200]


async def test_an_answer_that_nobody_reads_yet_holds_up_the_next_request() -> None:
    application = Echo()
    async with serving(application) as plane, connected(plane.port, limit=1000) as client:
        await client.send(request("/big") * 50)
        # Some fit into the buffers of sockets and transport; at once, all 50 MiB would be made.
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(application.requests) < 30
        for _ in range(50):
            assert len((await client.answer()).body) == 2**20
        assert len(application.requests) == 50
