"""The link does what the weather says, against a server that echoes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.faults.link import Link, Point, Weather, open_link
from tests.faults.stores import MONGODB

SECONDS = 20.0
SILENCE_SECONDS = 0.2


class Echo:
    """A server that says what it hears; `heard` is everything."""

    def __init__(self) -> None:
        self.heard = b""
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while chunk := await reader.read(1 << 16):
                self.heard += chunk
                writer.write(chunk)
        except OSError:
            pass
        finally:
            writer.close()


@pytest.fixture
async def echo() -> Echo:
    return Echo()


def port(server: asyncio.Server) -> int:
    number: int = server.sockets[0].getsockname()[1]
    return number


@pytest.fixture
async def link(echo: Echo) -> AsyncIterator[Link]:
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    async with server, open_link(port(server), writes=MONGODB.writes) as link:
        yield link


class Peer:
    """The client's side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def hears(self, text: bytes) -> bool:
        """Whether all of it comes; false when the connection ends before."""
        try:
            async with asyncio.timeout(SECONDS):
                return await self.reader.readexactly(len(text)) == text
        except (OSError, asyncio.IncompleteReadError):
            return False

    async def hears_nothing(self) -> bool:
        """Nothing for a moment: what is delivered takes none."""
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                await self.reader.read(1)
        except TimeoutError:
            return True
        return False


@pytest.fixture
async def peer(link: Link) -> AsyncIterator[Peer]:
    peer = Peer(*await asyncio.open_connection("127.0.0.1", link.port))
    peer.writer.write(b"begin")
    assert await peer.hears(b"begin")
    yield peer
    peer.writer.close()


async def until(echo: Echo, text: bytes) -> None:
    async with asyncio.timeout(SECONDS):
        while text not in echo.heard:  # noqa: ASYNC110 - nobody else can tell
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "weather",
    [
        Weather(),
        Weather(delay_seconds=0.05),
        Weather(jitter_seconds=0.05),
        Weather(is_dripping=True),
        Weather(duplicates=True),
    ],
    ids=["calm", "delay", "jitter", "drip", "duplicate"],
)
async def test_everything_arrives_in_order(link: Link, peer: Peer, weather: Weather) -> None:
    link.begin(weather)
    text = bytes(range(256)) * 2
    peer.writer.write(text)
    assert await peer.hears(text)


async def test_what_is_dropped_never_arrives_and_its_connection_is_cut_in_the_end(
    link: Link, peer: Peer, echo: Echo
) -> None:
    weather = Weather(is_dropping=True)
    link.begin(weather)
    peer.writer.write(b"lost")
    assert await peer.hears_nothing()
    link.end(weather)
    assert not await peer.hears(b"lost")
    assert echo.heard == b"begin"


async def test_what_is_held_arrives_later_even_if_its_sender_has_gone(
    link: Link, peer: Peer, echo: Echo
) -> None:
    weather = Weather(is_holding=True)
    link.begin(weather)
    peer.writer.write(b"late")
    assert await peer.hears_nothing()
    peer.writer.close()
    assert echo.heard == b"begin"
    link.end(weather)
    await until(echo, b"late")


async def test_half_open_the_request_arrives_and_the_answer_does_not(
    link: Link, peer: Peer, echo: Echo
) -> None:
    link.begin(Weather(loses_answers=True))
    peer.writer.write(b"asked")
    await until(echo, b"asked")
    assert await peer.hears_nothing()


async def test_a_cut_resets_what_is_open_and_lets_new_connections_through(
    link: Link, peer: Peer
) -> None:
    link.cut()
    assert not await peer.hears(b"!")
    again = Peer(*await asyncio.open_connection("127.0.0.1", link.port))
    again.writer.write(b"again")
    assert await again.hears(b"again")
    again.writer.close()


@pytest.mark.parametrize(
    ("point", "arrives"), [(Point.BEFORE_WRITE, False), (Point.AFTER_WRITE, True)]
)
@pytest.mark.parametrize("write", MONGODB.writes)
async def test_a_trap_springs_once_at_its_point_of_a_write(  # noqa: PLR0913 - each is a fact
    link: Link, peer: Peer, echo: Echo, point: Point, write: bytes, *, arrives: bool
) -> None:
    sprung = asyncio.Event()
    link.trap(point, sprung.set)
    peer.writer.write(b"find\0")
    assert await peer.hears(b"find\0")
    peer.writer.write(write)
    assert not await peer.hears(write)
    assert sprung.is_set()
    assert (write in echo.heard) is arrives
    assert link.sprung == 1
