"""How the listener ends: what is asked is answered."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import aiohttp
import pytest
from aiohttp import web
from moorline_operator.certificates import ServingCertificate
from moorline_operator.certificates.material import Material
from moorline_operator.certificates.rotation import Published, step
from moorline_operator.webhook import Listener

from tests.operator.certificates.samples import SERVER, TERMS, a_secret

MATERIAL = step(Material(), datetime.now(UTC), Published(), TERMS).material


class Slow:
    """Answers when it may."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.may = asyncio.Event()

    async def answer(self, _request: web.Request) -> web.Response:
        self.asked.set()
        await self.may.wait()
        return web.Response(text="answered")


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def listener(slow: Slow) -> Listener:
    certificate = ServingCertificate()
    certificate.update(a_secret(MATERIAL))
    application = web.Application()
    application.router.add_post("/", slow.answer)
    return Listener(application, certificate.context, "127.0.0.1", 0)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=MATERIAL.bundle)
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


async def ask(http: aiohttp.ClientSession, port: int) -> tuple[str, bool]:
    """The answer, and whether its connection is closed."""
    url = f"https://127.0.0.1:{port}/"
    async with http.post(url, server_hostname=SERVER) as response:
        return await response.text(), response.headers.get("Connection") == "close"


async def test_connections_are_kept_until_the_end_begins(
    listener: Listener, slow: Slow, http: aiohttp.ClientSession
) -> None:
    slow.may.set()
    async with listener:
        assert await ask(http, listener.port) == ("answered", False)
        await listener.drain(0)
        assert listener.is_draining
        # On the connection from before, and on a new one.
        assert await ask(http, listener.port) == ("answered", True)
        assert await ask(http, listener.port) == ("answered", True)


async def test_what_is_under_way_at_the_end_is_answered(
    listener: Listener, slow: Slow, http: aiohttp.ClientSession
) -> None:
    async with listener:
        asking = asyncio.create_task(ask(http, listener.port))
        await slow.asked.wait()
        await listener.drain(0)
        asyncio.get_running_loop().call_later(0.1, slow.may.set)
    assert await asking == ("answered", True)


async def test_after_the_end_nobody_listens(
    listener: Listener, http: aiohttp.ClientSession
) -> None:
    async with listener:
        port = listener.port
    with pytest.raises(aiohttp.ClientConnectorError):
        await ask(http, port)


async def test_a_port_that_is_taken_is_said(listener: Listener) -> None:
    async with listener:
        other = Listener(
            web.Application(), ServingCertificate().context, "127.0.0.1", listener.port
        )
        with pytest.raises(OSError, match="address already in use"):
            await other.__aenter__()
