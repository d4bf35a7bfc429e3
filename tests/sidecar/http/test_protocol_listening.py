"""Where the data plane listens: TCP, and a unix socket that outlives no process."""

import asyncio
import resource
import socket
import stat
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from moorline_sidecar.http.connections import Connection
from moorline_sidecar.http.listening import allow_descriptors
from moorline_sidecar.http.protocol import DataPlane

from tests.sidecar.http.echo import Echo, request, serving
from tests.sidecar.http.raw_client import DEADLINE_S, RawClient, connected


async def test_tcp_and_a_unix_socket_serve_the_same(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with DataPlane(Echo()) as plane:
        await plane.start(tcp=[("127.0.0.1", 0), ("::1", 0)], unix=path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o666
        for address in (plane.port, str(path)):
            async with connected(address) as client:
                assert (await client.ask(request("/"))).status == 200
        assert plane.traffic.accepted == 2
    assert not path.exists()


async def test_what_a_dead_process_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with DataPlane(Echo()) as plane:
        await plane.start(unix=path)
        async with connected(str(path)) as client:
            assert (await client.ask(request("/"))).status == 200


async def test_the_socket_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with DataPlane(Echo()) as first, DataPlane(Echo()) as second:
        await first.start(unix=path)
        with pytest.raises(OSError, match="in use"):
            await second.start(unix=path)
        async with connected(str(path)) as client:
            assert (await client.ask(request("/"))).status == 200


async def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("precious")
    async with DataPlane(Echo()) as plane:
        with pytest.raises(OSError, match="in use"):
            await plane.start(unix=path)
    assert path.read_text() == "precious"


async def test_the_socket_of_a_successor_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with DataPlane(Echo()) as first, DataPlane(Echo()) as second:
        await first.start(unix=path)
        path.unlink()
        await second.start(unix=path)
        await first.close(grace_s=0)
        async with connected(str(path)) as client:
            assert (await client.ask(request("/"))).status == 200


async def test_an_address_in_use_leaves_nothing_listening(tmp_path: Path) -> None:
    async with serving() as plane, DataPlane(Echo()) as second:
        with pytest.raises(OSError, match="in use"):
            await second.start(tcp=[("127.0.0.1", plane.port)], unix=tmp_path / "s")
        with pytest.raises(OSError, match="in use"):
            await second.start(tcp=[("127.0.0.1", 0), ("127.0.0.1", plane.port)])
        async with connected(plane.port) as client:
            assert (await client.ask(request("/"))).status == 200
    assert not (tmp_path / "s").exists()


async def test_answers_are_sent_without_delay() -> None:
    async with serving() as plane, connected(plane.port) as client:
        assert (await client.ask(request("/"))).status == 200
        [connection] = plane._roster.serving  # noqa: SLF001 - nobody tells
        assert isinstance(connection, Connection)
        accepted = connection._transport.get_extra_info("socket")  # noqa: SLF001 - nobody tells
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


STARVED = """
import asyncio, resource
import uvloop
from moorline_sidecar.http.protocol import DataPlane
from tests.sidecar.http.echo import Echo

async def serve():
    async with DataPlane(Echo()) as plane:
        await plane.start(tcp=[("127.0.0.1", 0)])
        print(plane.port, flush=True)
        await asyncio.Event().wait()

resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
uvloop.run(serve())
"""


@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_without_a_file_descriptor_left_clients_are_sent_away_and_come_back() -> None:
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STARVED, stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout
    try:
        port = int(await server.stdout.readline())
        async with AsyncExitStack() as stack:
            crowd = [await stack.enter_async_context(connected(port)) for _ in range(60)]
            served = [await is_served(client) for client in crowd]
            assert 10 < sum(served) < 40
        async with asyncio.timeout(DEADLINE_S):
            while True:
                async with connected(port) as client:
                    if await is_served(client):
                        break
    finally:
        server.kill()
        await server.wait()


async def is_served(client: RawClient) -> bool:
    try:
        return (await client.ask(request("/"))).status == 200
    except (ConnectionError, asyncio.IncompleteReadError):
        return False


def test_enough_files_may_be_open() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (400, hard))
        allow_descriptors(10)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 400
        allow_descriptors(100)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 456
        allow_descriptors(2**40)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
