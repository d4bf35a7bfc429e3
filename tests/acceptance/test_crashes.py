"""Processes that end, and a store that goes away: what was acknowledged is there afterwards."""

import asyncio
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.sidecar.running import Client, Sidecar, running_sidecar
from tests.stores_fixtures import durable_server, wait_until_answering


async def test_what_was_acknowledged_survives_kill_9(
    workers: tuple[Sidecar, Sidecar], http: aiohttp.ClientSession
) -> None:
    one, two = workers
    client = Client(http)
    path = f"/sessions/{(await client.call(one, 'POST', '/sessions')).body['id']}"
    acknowledged = 0
    has_begun = asyncio.Event()

    async def write() -> None:
        nonlocal acknowledged
        own = Client(http)
        while True:
            try:
                answer = await own.call(one, "PATCH", path, {"set": {"n": acknowledged + 1}})
            except aiohttp.ClientError:
                return
            assert answer.status == 204
            acknowledged += 1
            if acknowledged == 50:
                has_begun.set()

    writing = asyncio.create_task(write())
    await has_begun.wait()
    one.kill()
    await writing
    read = await Client(http).call(two, "GET", path)
    # The one write that was under way may have been applied too.
    assert read.body["attributes"]["n"] in {acknowledged, acknowledged + 1}


@pytest.mark.parametrize("mode", ["Write", "Complete", "Periodic", "Shutdown"])
async def test_nothing_is_lost_by_sigterm(
    mode: str,
    tmp_path: Path,
    mongo_uri: str,
    mongo_collection: str,
    http: aiohttp.ClientSession,
) -> None:
    spec = {"sessions": {"save": {"mode": mode, "period": "1h"}}}
    with running_sidecar(
        tmp_path, "node1", mongo_uri, spec=spec, collection=mongo_collection
    ) as one:
        client = Client(http)
        paths = []
        for number in range(30):
            created = await client.call(one, "POST", "/sessions")
            paths.append(f"/sessions/{created.body['id']}")
            changed = await client.call(one, "PATCH", paths[-1], {"set": {"n": number}})
            assert changed.status == 204
            assert ("Moorline-Unsaved" in changed.headers) is (mode != "Write")
            assert ("ETag" in changed.headers) is (mode == "Write")
        assert one.stop() == 0
    with running_sidecar(tmp_path, "node2", mongo_uri, collection=mongo_collection) as two:
        for number, path in enumerate(paths):
            read = await Client(http).call(two, "GET", path)
            assert read.body["attributes"] == {"n": number}


async def test_a_store_that_goes_away_and_comes_back(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    with (
        durable_server(tmp_path / "mongo") as server,
        running_sidecar(tmp_path, "node1", server.uri) as one,
    ):
        client = Client(http)
        created = await client.call(one, "POST", "/sessions", {"attributes": {"n": 1}})
        path = f"/sessions/{created.body['id']}"
        ended = f"/sessions/{(await client.call(one, 'POST', '/sessions')).body['id']}"
        await client.call(one, "DELETE", ended)
        client.hint = created.headers["Moorline-Hint"]
        server.kill()

        cached = await client.call(one, "GET", path)
        assert cached.status == 200
        first = await _timed(client, one, "PATCH", path, {"set": {"n": 2}})
        assert first["status"] in {503, 504}
        assert first["seconds"] < 3.5
        known = await _timed(client, one, "PATCH", path, {"set": {"n": 2}})
        assert known["status"] == 503
        assert known["headers"]["Retry-After"]
        cached = await client.call(one, "GET", path)
        assert (cached.status, cached.headers["Moorline-Degraded"]) == (200, "store-unavailable")
        assert cached.body["attributes"] == {"n": 1}
        assert (await client.call(one, "GET", ended)).status == 410
        above = {"Moorline-Hint": "99.node1"}
        assert (await client.call(one, "GET", path, headers=above)).status == 503
        async with http.get(f"{one.health_url}/readyz") as ready:
            assert ready.status == 200

        server.start()
        wait_until_answering(server)
        status = 503
        deadline = time.monotonic() + 20
        while status == 503:
            assert time.monotonic() < deadline
            status = (await client.call(one, "PATCH", path, {"set": {"n": 3}})).status
        assert status == 204
        read = await client.call(one, "GET", path)
        assert read.body["attributes"] == {"n": 3}
        assert "Moorline-Degraded" not in read.headers
        assert (await client.call(one, "GET", ended)).status == 410


async def test_serve_is_ready_without_a_store(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    with running_sidecar(tmp_path, "node1", "mongodb://127.0.0.1:1/") as one:
        answer = await _timed(Client(http), one, "POST", "/sessions", {})
        assert answer["status"] == 503
        assert answer["seconds"] < 3.5


TICK_SECONDS = 0.01
PAUSE_SECONDS = 0.2
"""No busy machine keeps a process waiting for so long, but one that stands still does."""


async def _timed(
    client: Client, worker: Sidecar, method: str, path: str, body: object
) -> dict[str, Any]:
    """The answer, with the seconds until it came, less those for which the machine stood still."""
    paused = 0.0

    async def watch() -> None:
        nonlocal paused
        while True:
            before = time.monotonic()
            await asyncio.sleep(TICK_SECONDS)
            late = time.monotonic() - before - TICK_SECONDS
            paused += late if late > PAUSE_SECONDS else 0

    watching = asyncio.create_task(watch())
    started = time.monotonic()
    answer = await client.call(worker, method, path, body)
    seconds = time.monotonic() - started
    # What it was late for it counts in its next turn.
    await asyncio.sleep(2 * TICK_SECONDS)
    watching.cancel()
    return {
        "status": answer.status,
        "headers": answer.headers,
        "seconds": seconds - paused,
    }
