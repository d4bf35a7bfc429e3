"""Handlers that fail, clients that vanish, and the end of the data plane itself."""

import asyncio
import gc
import weakref

import pytest
from moorline_sidecar.http.connections import Connection
from structlog.testing import capture_logs

from tests.sidecar.http.echo import Echo, eventually, request, serving
from tests.sidecar.http.raw_client import connected


@pytest.mark.parametrize("target", ["/broken", "/broken-later"])
async def test_a_mistake_in_the_application_ends_one_connection_and_one_line_tells_it(
    target: str,
) -> None:
    application = Echo()
    with capture_logs() as logs:
        async with serving(application) as plane:
            async with connected(plane.port) as client:
                await client.send(request("/now") + request(target) + request("/never"))
                assert (await client.answer()).status == 200
                answer = await client.answer()
                assert (answer.status, answer.closes) == (500, True)
                assert answer.members == {
                    "type": "about:blank",
                    "title": "Internal Server Error",
                    "status": 500,
                }
                assert await client.is_closed()
            async with connected(plane.port) as client:
                assert (await client.ask(request("/"))).status == 200
            assert plane.traffic.failures == 1
    assert b"/never" not in [asked.path for asked in application.requests]
    [line] = logs
    assert (line["event"], line["error"]) == ("a handler raised", "RuntimeError")
    assert "a session id" not in str(line)


async def test_a_mistake_in_screening_is_one_in_the_application() -> None:
    with capture_logs() as logs:
        async with serving() as plane, connected(plane.port) as client:
            answer = await client.ask(request("/broken-screen", method="PUT", body=b"abc"))
            assert (answer.status, answer.closes) == (500, True)
    assert [line["error"] for line in logs] == ["RuntimeError"]


async def test_a_handler_that_cancels_itself_closes_the_connection() -> None:
    async with serving() as plane, connected(plane.port) as client:
        await client.send(request("/cancelled"))
        assert await client.is_closed()
        await eventually(lambda: plane.connections == 0)


async def test_a_client_that_vanishes_does_not_cut_its_write_in_half() -> None:
    application = Echo()
    with capture_logs() as logs:
        async with serving(application) as plane:
            async with connected(plane.port) as client:
                await client.send(request("/gated?1") + request("/gated?2"))
                await eventually(lambda: len(application.requests) == 1)
                client.abort()
                await eventually(lambda: plane.connections == 0)
            assert application.finished == []
            application.gate.set()
            await eventually(lambda: application.finished == [b"1"])
        # What waited behind it never began.
        assert len(application.requests) == 1
    assert logs == []


async def test_the_answers_to_a_client_that_has_closed_are_dropped() -> None:
    application = Echo()
    with capture_logs() as logs:
        async with serving(application) as plane:
            async with connected(plane.port) as client:
                await client.send(request("/gated") + request("/big") * 9)
                await eventually(lambda: len(application.requests) == 1)
            # This cannot be told from a client that only closed its sending side.
            assert plane.connections == 1
            application.gate.set()
            await eventually(lambda: plane.connections == 0)
            assert application.finished == [b""]
    assert logs == []


async def test_closing_finishes_what_is_in_flight_and_closes_what_is_idle() -> None:
    application = Echo()
    async with (
        serving(application) as plane,
        connected(plane.port) as busy,
        connected(plane.port) as idle,
        connected(plane.port) as sending,
    ):
        port = plane.port
        assert (await idle.ask(request("/"))).status == 200
        await busy.send(request("/gated?1") + request("/gated?2"))
        upload = request("/now", method="PUT", body=b"abc")
        await sending.send(upload[:-1])
        await eventually(lambda: len(application.requests) == 2 and bool(application.screened))
        closing = asyncio.create_task(plane.close(grace_s=60))
        assert await idle.is_closed()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        assert not closing.done()
        application.gate.set()
        first, second = await busy.answer(), await busy.answer()
        assert [first.closes, second.closes] == [False, True]
        assert await busy.is_closed()
        plane.sweep()
        await sending.send(upload[-1:] + request("/never", method="PUT", body=b"abc"))
        answer = await sending.answer()
        assert (answer.members["body"], answer.closes) == ("abc", True)
        for client in (busy, idle, sending):
            await client.close()
        await closing
        assert plane.connections == 0
    assert len(application.screened) == 1


async def test_closing_ends_with_the_grace_whatever_is_at_work() -> None:
    application = Echo()
    async with serving(application) as plane, connected(plane.port) as client:
        await client.send(request("/gated"))
        await eventually(lambda: len(application.requests) == 1)
        await plane.close(grace_s=0.01)
        assert await client.is_closed()
        assert plane.connections == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert application.finished == []


async def test_a_handler_that_does_not_end_is_named_in_the_log() -> None:
    application = Echo()
    with capture_logs() as logs:
        async with serving(application) as plane, connected(plane.port) as client:
            await client.send(request("/stubborn"))
            await eventually(lambda: len(application.requests) == 1)
            await plane.close(grace_s=0)
            assert [line["event"] for line in logs] == ["cancelled handlers do not end"]
            application.gate.set()


async def test_closing_twice_is_closing_once() -> None:
    async with serving() as plane:
        await plane.close(grace_s=1)
        await plane.close(grace_s=1)


async def test_a_lost_connection_is_freed_without_the_garbage_collector() -> None:
    async with serving() as plane:
        gc.collect()
        gc.disable()
        try:
            async with connected(plane.port) as client:
                assert (await client.ask(request("/later"))).status == 200
                alive = [weakref.ref(found) for found in connections()]
                assert len(alive) == 1
            await eventually(lambda: plane.connections == 0)
            await eventually(lambda: alive[0]() is None)
        finally:
            gc.enable()


def connections() -> list[Connection]:
    return [found for found in gc.get_objects() if type(found) is Connection]
