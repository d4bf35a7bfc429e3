"""Clients that are slow, or many: each is bounded, and the others are served."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from moorline_sidecar.http.connections import Connection
from moorline_sidecar.http.deadlines import Deadline, Waiting
from moorline_sidecar.http.limits import Limits, Traffic
from moorline_sidecar.http.messages import never
from moorline_sidecar.http.protocol import DataPlane
from moorline_sidecar.http.roster import Roster

from tests.sidecar.http.echo import Clock, Echo, chunked, eventually, received, request, serving
from tests.sidecar.http.raw_client import connected
from tests.sidecar.http.twins import Wire


def pass_time(plane: DataPlane, clock: Clock, seconds: float) -> None:
    """Let time pass, with a sweep before and after."""
    plane.sweep()
    clock.now_s += seconds
    plane.sweep()


SLOW = [
    pytest.param(request("/")[:-1], 10, id="head"),
    pytest.param(b"G", 10, id="first byte of a head"),
    pytest.param(request("/") + b"G", 10, id="second head"),
    pytest.param(request("/", method="PUT", body=b"abc")[:-1], 30, id="body"),
    pytest.param(chunked("/", b"abc", end=b""), 30, id="chunks"),
]


@pytest.mark.parametrize(("raw", "seconds"), SLOW)
async def test_a_slow_sender_is_told_so_and_cut_off(raw: bytes, seconds: float) -> None:
    clock = Clock()
    async with serving(clock=clock) as plane, connected(plane.port) as client:
        await client.send(raw)
        await received(plane, len(raw))
        pass_time(plane, clock, seconds - 0.1)
        assert plane.connections == 1
        pass_time(plane, clock, 0.1)
        if raw.startswith(request("/")):
            assert (await client.answer()).status == 200
        answer = await client.answer()
        assert answer.problem == "request-timeout"
        assert answer.closes
        await client.send(raw)
        assert await client.is_closed()
        assert plane.traffic.timeouts == 1


async def test_a_head_that_trickles_in_gets_no_more_time_than_any_other() -> None:
    clock = Clock()
    async with serving(clock=clock) as plane, connected(plane.port) as client:
        for number, byte in enumerate(request("/")[:9]):
            await client.send(bytes([byte]))
            await received(plane, number + 1)
            pass_time(plane, clock, 1)
            assert plane.connections == 1
        pass_time(plane, clock, 1)
        assert (await client.answer()).status == 408


async def test_requests_that_keep_coming_are_never_too_slow() -> None:
    clock = Clock()
    async with serving(clock=clock) as plane, connected(plane.port) as client:
        for number in range(20):
            await client.send(request("/")[:5])
            await received(plane, number * len(request("/")) + 5)
            pass_time(plane, clock, 9)
            await client.send(request("/")[5:])
            assert (await client.answer()).status == 200
            pass_time(plane, clock, 70)


@pytest.mark.parametrize("before", [b"", b"\r\n", request("/")], ids=["new", "blank", "used"])
async def test_an_idle_connection_is_closed_without_a_word(before: bytes) -> None:
    clock = Clock()
    async with serving(clock=clock) as plane, connected(plane.port) as client:
        await client.send(before)
        await received(plane, len(before))
        await eventually(lambda: plane.connections == 1)
        if len(before) > 2:
            assert (await client.answer()).status == 200
        pass_time(plane, clock, 74.9)
        assert plane.connections == 1
        pass_time(plane, clock, 0.1)
        assert await client.is_closed()
        assert plane.traffic.timeouts == 0


async def test_a_handler_may_take_its_time_and_the_next_head_gets_all_of_its_own() -> None:
    application, clock = Echo(), Clock()
    async with serving(application, clock=clock) as plane, connected(plane.port) as client:
        await client.send(request("/gated") + request("/")[:-1])
        await eventually(lambda: len(application.requests) == 1)
        pass_time(plane, clock, 1000)
        application.gate.set()
        assert (await client.answer()).status == 200
        pass_time(plane, clock, 9.9)
        await client.send(request("/")[-1:])
        assert (await client.answer()).status == 200


async def test_a_client_that_reads_nothing_is_cut_off() -> None:
    application, clock = Echo(), Clock()
    async with serving(application, clock=clock) as plane:
        async with connected(plane.port, limit=1000) as client:
            await client.send(request("/big") * 50)
            await eventually(lambda: len(application.requests) > 0)
            for _ in range(100):
                await asyncio.sleep(0)
            pass_time(plane, clock, 75)
            await eventually(lambda: plane.connections == 0)
        assert len(application.requests) < 50
        assert plane.traffic.timeouts == 1


class Unread(Wire):
    """What leads to a client that reads nothing."""

    is_aborted = False

    def abort(self) -> None:
        self.is_aborted = True

    def get_write_buffer_size(self) -> int:
        return len(self.written)


@pytest.mark.parametrize("is_done", [False, True])
async def test_who_leaves_the_end_of_an_answer_unread_is_cut_off(is_done: bool) -> None:  # noqa: FBT001
    """It is too short for the transport to ask for a pause, but keeps that open when closed."""
    traffic, wire = Traffic(), Unread()
    connection = Connection(Echo(), never, Limits(), traffic, Roster())
    connection.connection_made(wire)
    connection.data_received(request("/"))
    if is_done and not connection.eof_received():
        wire.close()
    connection.look(0)
    connection.look(74.9)
    assert (wire.is_closed, wire.is_aborted) == (is_done, False)
    connection.look(75)
    assert wire.is_aborted
    assert traffic.timeouts == 1


async def test_who_reads_the_end_of_an_answer_late_has_all_time_for_the_next_request() -> None:
    wire = Unread()
    connection = Connection(Echo(), never, Limits(), Traffic(), Roster())
    connection.connection_made(wire)
    connection.data_received(request("/"))
    connection.look(0)
    wire.written.clear()
    connection.look(74)
    ends = []
    for now_s in (148.9, 149):
        connection.look(now_s)
        ends.append((wire.is_closed, wire.is_aborted))
    assert ends == [(False, False), (True, False)]


async def test_the_data_plane_looks_at_its_connections_by_itself() -> None:
    async with serving(head_s=0, sweep_s=0.001) as plane, connected(plane.port) as client:
        assert (await client.ask(b"G")).status == 408


async def test_who_was_answered_for_the_last_time_has_to_go() -> None:
    clock = Clock()
    async with serving(clock=clock) as plane, connected(plane.port) as client:
        assert (await client.ask(request("/", "Connection: close"))).closes
        assert await client.is_closed()
        pass_time(plane, clock, 2)
        with pytest.raises(ConnectionError):
            await client.send_for_ever(b"x")


async def test_one_connection_too_many_is_told_so() -> None:
    async with serving(connections=2) as plane, AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(connected(plane.port)) for _ in range(2)]
        assert [(await client.ask(request("/"))).status for client in (first, second)] == [200, 200]
        async with connected(plane.port) as third:
            answer = await third.answer()
            assert answer.problem == "overloaded"
            assert answer.headers["retry-after"] == "1"
            assert answer.closes
            assert await third.is_closed()
        assert (await first.ask(request("/"))).status == 200
        await second.close()
        await eventually(lambda: plane.connections == 1)
        async with connected(plane.port) as fourth:
            assert (await fourth.ask(request("/"))).status == 200
        assert (plane.traffic.accepted, plane.traffic.overloaded) == (4, 1)


async def test_the_body_may_be_as_long_as_the_limit() -> None:
    async with serving(body_bytes=1000) as plane:
        for body, status in [(bytes(1000), 200), (bytes(1001), 413)]:
            for raw in (
                request("/", method="PUT", body=body),
                chunked("/", body[:500], body[500:]),
            ):
                async with connected(plane.port) as client:
                    answer = await client.ask(raw)
                    assert answer.status == status
                    assert answer.members.get("limit", 1000) == 1000


async def test_who_sends_a_body_that_is_too_long_is_told_what_a_session_may_have() -> None:
    async with serving(body_bytes=1000, session_bytes=250) as plane:
        for raw in (request("/", method="PUT", body=bytes(1001)), chunked("/", bytes(1001))):
            async with connected(plane.port) as client:
                answer = await client.ask(raw)
                assert (answer.problem, answer.members["limit"]) == ("too-large", 250)


def test_a_deadline_is_never_early_and_starts_anew_with_each_wait() -> None:
    deadline = Deadline(Limits(head_s=10, body_s=30))
    assert not deadline.has_passed(Waiting.HEAD, 1, 100)
    assert not deadline.has_passed(Waiting.HEAD, 1, 109.9)
    assert not deadline.has_passed(Waiting.BODY, 1, 110)
    assert not deadline.has_passed(Waiting.HEAD, 2, 139.9)
    assert deadline.has_passed(Waiting.HEAD, 2, 149.9)
    assert not deadline.has_passed(Waiting.HANDLER, 2, 150)
    assert not deadline.has_passed(Waiting.HANDLER, 2, 1e12)
