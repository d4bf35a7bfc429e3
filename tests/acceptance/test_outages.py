"""`onOutage: Buffer` with real processes: no request fails, nothing that was told is lost."""

import asyncio
import resource
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.sidecar.running import Client, Sidecar, running_sidecar, wait_until
from tests.stores_fixtures import durable_server, wait_until_answering

SPEC = {"sessions": {"onOutage": "Buffer"}}
USERS = 8


class User:
    """Somebody who counts, with one session, and knows what was answered."""

    def __init__(self, http: aiohttp.ClientSession, worker: Sidecar) -> None:
        self.client = Client(http)
        self.worker = worker
        self.told = 0
        self.path = ""
        self.failures: list[int] = []
        self.slowest = 0.0

    async def begin(self) -> None:
        created = await self.client.call(
            self.worker, "POST", "/sessions", {"attributes": {"n": 0, "last": 0}}
        )
        assert created.status == 201
        self.path = f"/sessions/{created.body['id']}"

    async def count(self) -> None:
        """One more, and a look at it."""
        body = {"increment": {"n": 1}, "set": {"last": self.told + 1}}
        started = time.monotonic()
        answer = await self.client.call(self.worker, "PATCH", self.path, body)
        self.slowest = max(self.slowest, time.monotonic() - started)
        if answer.status != 204:
            self.failures.append(answer.status)
            return
        self.told += 1
        read = await self.client.call(self.worker, "GET", self.path)
        if read.status != 200:
            self.failures.append(read.status)
        else:
            assert read.body["attributes"] == {"n": self.told, "last": self.told}


@asynccontextmanager
async def busy(users: list[User]) -> AsyncIterator[None]:
    """All of them count while the context is entered; what is under way is finished."""
    stop = asyncio.Event()

    async def use(user: User) -> None:
        while not stop.is_set():
            await user.count()
            await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as tasks:
        for user in users:
            tasks.create_task(use(user))
        try:
            yield
        finally:
            stop.set()


async def metric(http: aiohttp.ClientSession, worker: Sidecar, name: str) -> float:
    async with http.get(f"{worker.health_url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


async def has_counted(http: aiohttp.ClientSession, worker: Sidecar, name: str) -> None:
    """Wait until a counter shows something: a scrape of the last second is shown again."""
    deadline = time.monotonic() + 10
    while await metric(http, worker, name) == 0:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def has_replayed(http: aiohttp.ClientSession, worker: Sidecar) -> None:
    """Wait until the store is back, and has everything."""
    deadline = time.monotonic() + 40
    while True:
        up = await metric(http, worker, "moorline_store_up")
        unsaved = await metric(http, worker, "moorline_unsaved")
        if up == 1 and unsaved == 0:
            return
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_no_request_fails_while_the_store_is_away_and_nothing_is_lost(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    with (
        durable_server(tmp_path / "mongo") as server,
        running_sidecar(tmp_path, "node1", server.uri, spec=SPEC) as one,
    ):
        users = [User(http, one) for _ in range(USERS)]
        for user in users:
            await user.begin()
        born_in_it = User(http, one)
        leaving = User(http, one)
        await leaving.begin()
        async with busy(users):
            await asyncio.sleep(0.5)
            await asyncio.to_thread(server.kill)
            await asyncio.sleep(3)
            await born_in_it.begin()
            for _ in range(5):
                await born_in_it.count()
            ended = await leaving.client.call(one, "DELETE", leaving.path)
            assert (ended.status, ended.headers["Moorline-Unsaved"]) == (204, "true")
            assert ended.headers["Moorline-Degraded"] == "store-unavailable"
            await asyncio.to_thread(server.start)
            await asyncio.to_thread(wait_until_answering, server)
            await asyncio.sleep(1)
        users.append(born_in_it)
        assert [user.failures for user in users] == [[]] * len(users)
        assert max(user.slowest for user in users) < 6
        await has_replayed(http, one)
        assert await metric(http, one, "moorline_kept_changes") > USERS
        assert await metric(http, one, "moorline_lost_changes") == 0
        with running_sidecar(tmp_path, "node2", server.uri, spec=SPEC) as two:
            for user in users:
                read = await Client(http).call(two, "GET", user.path)
                assert read.body["attributes"] == {"n": user.told, "last": user.told}
            assert (await Client(http).call(two, "GET", leaving.path)).status == 410


async def test_with_a_file_kill_9_of_the_sidecar_loses_nothing(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    journal = tmp_path / "journal"
    journal.mkdir()
    told = {"MOORLINE_JOURNAL": str(journal)}
    with durable_server(tmp_path / "mongo") as server:
        with running_sidecar(tmp_path, "node1", server.uri, spec=SPEC, environment=told) as one:
            users = [User(http, one) for _ in range(USERS)]
            for user in users:
                await user.begin()
            leaving = User(http, one)
            await leaving.begin()
            server.kill()
            for _ in range(10):
                await asyncio.gather(*(user.count() for user in users))
            ended = await leaving.client.call(one, "DELETE", leaving.path)
            assert ended.status == 204
            one.kill()
        assert [user.failures for user in users] == [[]] * len(users)
        with running_sidecar(tmp_path, "node1", server.uri, spec=SPEC, environment=told) as again:
            read = await Client(http).call(again, "GET", users[0].path)
            assert read.status == 503
            server.start()
            wait_until_answering(server)
            await has_replayed(http, again)
            for user in users:
                read = await Client(http).call(again, "GET", user.path)
                assert read.body["attributes"] == {"n": user.told, "last": user.told}
            assert (await Client(http).call(again, "GET", leaving.path)).status == 410
            wait_until(lambda: (journal / "changes.journal").stat().st_size < 100)


async def test_a_full_disk_is_told_in_a_sentence_and_reads_go_on(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    journal = tmp_path / "journal"
    journal.mkdir()
    told = {"MOORLINE_JOURNAL": str(journal)}
    with (
        durable_server(tmp_path / "mongo") as server,
        running_sidecar(tmp_path, "node1", server.uri, spec=SPEC, environment=told) as one,
    ):
        client = Client(http)
        created = await client.call(one, "POST", "/sessions")
        path = f"/sessions/{created.body['id']}"
        server.kill()
        # No file of the process may grow beyond it: as a disk that is full.
        resource.prlimit(one.process.pid, resource.RLIMIT_FSIZE, (256 << 10, 256 << 10))
        answer = created
        kept = 0
        while answer.status < 300:
            body = {"set": {"n": kept + 1, "text": "x" * 32_000}}
            answer = await client.call(one, "PATCH", path, body)
            kept += answer.status == 204
        assert 4 <= kept < 10
        assert answer.status == 503
        assert answer.body["type"] == "urn:moorline:problem:overloaded"
        assert "room" in answer.body["detail"]
        assert answer.headers["Retry-After"]
        read = await client.call(one, "GET", path)
        assert read.body["attributes"]["n"] == kept
        await has_counted(http, one, "moorline_refused_for_room_total")
        server.start()
        wait_until_answering(server)
        await has_replayed(http, one)
        read = await client.call(one, "GET", path)
        assert read.body["attributes"]["n"] == kept


@pytest.mark.parametrize("mode", ["Write", "Complete"])
async def test_sigterm_in_an_outage_leaves_the_journal_for_the_next_start(
    mode: str, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    journal = tmp_path / "journal"
    journal.mkdir()
    told = {"MOORLINE_JOURNAL": str(journal), "MOORLINE_SHUTDOWN_SECONDS": "4"}
    spec = {"sessions": {"onOutage": "Buffer", "save": {"mode": mode}}}
    with durable_server(tmp_path / "mongo") as server:
        with running_sidecar(tmp_path, "node1", server.uri, spec=spec, environment=told) as one:
            user = User(http, one)
            await user.begin()
            server.kill()
            for _ in range(3):
                await user.count()
            await asyncio.to_thread(one.stop)
        server.start()
        wait_until_answering(server)
        with running_sidecar(tmp_path, "node1", server.uri, spec=spec, environment=told) as again:
            await has_replayed(http, again)
            read = await Client(http).call(again, "GET", user.path)
            assert read.body["attributes"]["last"] == 3
