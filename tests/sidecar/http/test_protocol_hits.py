"""Hits on a connection, among other requests, by clients that read late, or not at all."""

import gc
import socket
import weakref
from typing import Final

import pytest
from moorline_sidecar.hot import ID_BYTES, IS_COMPILED, LINE_BYTES, Answer, chosen, hit
from moorline_sidecar.http.connections import Connection
from moorline_sidecar.http.limits import Limits, Traffic
from moorline_sidecar.http.roster import Roster

from tests.sidecar.hot.test_hits import Rig
from tests.sidecar.hot.test_names import an_answer
from tests.sidecar.http.echo import Clock, Echo, eventually, received, request, serving
from tests.sidecar.http.raw_client import RawClient, connected
from tests.sidecar.http.twins import Wire

HIT: Final = request("/v1/sessions/" + ID_BYTES * "a")
LEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
IDLE_S: Final = 75
KERNEL_BYTES: Final = 1 << 16
"""Taken for a client that reads late: else it may be all that 50 large answers are."""


class Site(Rig):
    """The hits of one session with so large an answer."""

    def __init__(self, size: int = 2) -> None:
        super().__init__(chosen, attributes=b"x" * size)
        length = len(hit(self.answer, self.entry.times)) - len(b"lead")
        self.answer = an_answer(chosen, self.answer.attributes, lead=LEAD % length)
        self.names.put(self.answer, self.entry, 5, HIT, HIT[LINE_BYTES:])

    def known(self, answer: Answer) -> bytes | None:
        """Decide as the compiled hits do: each is one."""
        return hit(answer, self.entry.times)


async def is_a_hit(client: RawClient) -> bool:
    return (await client.answer()).body.startswith(b"own")


@pytest.mark.parametrize(("other", "hits_behind"), [("/", 3), ("/later", 3), ("/gated", 0)])
async def test_answers_come_in_the_order_of_their_requests(other: str, hits_behind: int) -> None:
    """What comes behind a request that is under way is parsed, whatever it is."""
    site, echo = Site(), Echo()
    async with serving(echo, quick=site.hits.answer) as plane, connected(plane.port) as client:
        pieces = [HIT, HIT, request(other), HIT, HIT, HIT, request("/last")]
        for number, piece in enumerate(pieces):
            await client.send(piece)
            await received(plane, sum(map(len, pieces[: number + 1])))
            if other != "/gated":
                await eventually(lambda: plane.traffic.answers[2] == number + 1)  # noqa: B023
        echo.gate.set()
        bodies = [(await client.answer()).body for _ in pieces]

        hits = [True, True, False, *[hits_behind > 0] * 3, False]
        assert [body.startswith(b"own") for body in bodies] == hits
        assert bodies[-1].startswith(b'{"method":"GET","path":"/last"')
        assert plane.traffic.answers == [0, 0, len(pieces), 0, 0, 0]
        assert plane.traffic.flow.hits == 2 + hits_behind


class SocketWire(Wire):
    """Over a socket, which is written to by others."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self._sock = sock

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self._sock if name == "socket" else default


def a_connection(site: Site, wire: Wire) -> Connection:
    connection = Connection(Echo(), site.hits.answer, Limits(), Traffic(), Roster())
    connection.connection_made(wire)
    return connection


async def test_compiled_hits_behind_the_first_go_past_the_transport() -> None:
    here, there = socket.socketpair()
    with here, there:
        there.settimeout(0)
        wire, site = SocketWire(here), Site()
        connection = a_connection(site, wire)
        for _ in range(3):
            connection.data_received(HIT)
        answer = hit(site.answer, site.entry.times)
        past = 2 if IS_COMPILED else 0  # Python leaves them to the transport
        assert bytes(wire.written) == (3 - past) * answer
        if past:
            assert there.recv(3 * len(answer)) == past * answer


async def test_a_lost_connection_leaves_nothing_to_the_garbage_collector() -> None:
    wire = Wire()
    connection = a_connection(Site(), wire)
    connection.data_received(HIT)
    connection.data_received(HIT)
    gone = weakref.ref(connection)
    gc.disable()
    try:
        connection.connection_lost(None)
        del connection
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("size", [1_000, 300_000])
async def test_a_client_that_reads_late_misses_nothing(size: int) -> None:
    site, count = Site(size), 50
    async with (
        serving(quick=site.hits.answer) as plane,
        connected(plane.port, kernel_limit=KERNEL_BYTES) as client,
    ):
        for number in range(count):
            await client.send(HIT)
            await received(plane, (number + 1) * len(HIT))
        hits, answer = plane.traffic.flow.hits, hit(site.answer, site.entry.times)
        assert await client.exactly(hits * len(answer)) == hits * answer
        # What came when the transport had too much to send was parsed.
        assert (hits < count) is (size > 1_000)
        assert [await is_a_hit(client) for _ in range(count - hits)] == [False] * (count - hits)

        await client.send(HIT)
        assert await client.exactly(len(answer)) == answer


async def test_a_client_that_is_gone_is_forgotten() -> None:
    site = Site(1_000_000)
    async with serving(quick=site.hits.answer) as plane:
        for _ in range(3):
            async with connected(plane.port) as client:
                for _ in range(20):
                    await client.send(HIT)
                client.abort()
        await eventually(lambda: plane.traffic.accepted == 3 and plane.connections == 0)
        async with connected(plane.port) as client:
            await client.send(HIT)
            assert await is_a_hit(client)


async def test_whoever_hits_now_and_then_stays() -> None:
    site, clock = Site(), Clock()
    async with (
        serving(clock=clock, quick=site.hits.answer) as plane,
        connected(plane.port) as client,
    ):
        for _ in range(4):
            await client.send(HIT)
            assert await is_a_hit(client)
            plane.sweep()
            clock.now_s += IDLE_S - 1
            plane.sweep()
            assert plane.connections == 1
        clock.now_s += 1
        plane.sweep()
        assert await client.is_closed()
