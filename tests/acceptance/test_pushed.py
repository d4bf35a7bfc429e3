"""Two processes whose copies are kept by the store's change stream, and the list of both."""

import asyncio
import itertools
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from tests.sidecar.running import Answer, Client, Sidecar, running_sidecar, wait_until

SECONDS = 60
"""For what happens within a few, on a machine that has much to do."""


class Metrics:
    """The metrics of one process, which are rendered at most once a second."""

    def __init__(self, http: aiohttp.ClientSession, sidecar: Sidecar) -> None:
        self._http = http
        self._sidecar = sidecar

    async def read(self, name: str) -> float:
        """The sum of all series of one name."""
        async with self._http.get(f"{self._sidecar.health_url}/metrics") as response:
            text = await response.text()
        found = re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE)
        return sum(map(float, found))

    async def questions(self) -> float:
        return await self.read(r'moorline_store_batches_total\{[^}]*"load"[^}]*\}')


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(SECONDS):
        while not await is_so():  # noqa: ASYNC110 nothing announces it
            await asyncio.sleep(0.05)


async def both_live(http: aiohttp.ClientSession, workers: tuple[Sidecar, Sidecar]) -> None:
    for sidecar in workers:
        metrics = Metrics(http, sidecar)

        async def is_live(metrics: Metrics = metrics) -> bool:
            return await metrics.read("moorline_stream_live") == 1

        await until(is_live)


async def test_reads_on_any_worker_are_served_from_its_copy_and_a_logout_reaches_it(
    workers: tuple[Sidecar, Sidecar], http: aiohttp.ClientSession
) -> None:
    await both_live(http, workers)

    async def is_without_questions() -> bool:
        # On a machine that stops for seconds the stream is not live for a moment.
        return await questions_of_a_life(workers, http) == 0

    await until(is_without_questions)


async def questions_of_a_life(
    workers: tuple[Sidecar, Sidecar], http: aiohttp.ClientSession
) -> float:
    """What the second worker asks from when it has a copy until it has seen a logout elsewhere."""
    one, two = workers
    client, metrics = Client(http), Metrics(http, two)
    created = await client.call(one, "POST", "/sessions", {"attributes": {"user": "ada"}})
    path = f"/sessions/{created.body['id']}"
    reads = await metrics.read("moorline_reads_total")

    async def read() -> Answer:
        nonlocal reads
        reads += 1
        return await client.call(two, "GET", path)

    async def has_ended() -> bool:
        return (await read()).status == 410

    async def are_counted() -> bool:
        return await metrics.read("moorline_reads_total") >= reads

    await read()
    await until(are_counted)
    asked = await metrics.questions()
    assert asked > 0
    for _ in range(20):
        await client.call(one, "GET", path)
        assert (await read()).status == 200
    await client.call(one, "DELETE", path)
    await until(has_ended)
    await until(are_counted)
    return await metrics.questions() - asked


async def test_a_change_elsewhere_reaches_a_copy(
    workers: tuple[Sidecar, Sidecar], http: aiohttp.ClientSession
) -> None:
    one, two = workers
    await both_live(http, workers)
    client, other = Client(http), Client(http)
    created = await client.call(one, "POST", "/sessions", {"attributes": {"n": 1}})
    path = f"/sessions/{created.body['id']}"
    await client.call(two, "GET", path)
    await other.call(one, "PATCH", path, {"set": {"n": 2}})
    hint = client.hint

    async def is_seen() -> bool:
        client.hint = hint
        answer = await client.call(two, "GET", path)
        return bool(answer.body["attributes"] == {"n": 2})

    await until(is_seen)


async def test_workers_are_listed_and_leave_when_they_end(
    tmp_path: Path, mongo_uri: str, mongo_collection: str, http: aiohttp.ClientSession
) -> None:
    numbers = itertools.count(2)
    with running_sidecar(tmp_path, "node1", mongo_uri, collection=mongo_collection) as one:

        async def another_leaves() -> bool:
            """Whether one that came under a name of its own is gone at once when it has ended."""
            name = f"node{next(numbers)}"
            with running_sidecar(
                tmp_path,
                name,
                mongo_uri,
                collection=mongo_collection,
                environment={"MOORLINE_POD": f"pod-of-{name}"},
            ) as another:

                async def has_come() -> bool:
                    return (name, f"pod-of-{name}") in await listed(http, one)

                await until(has_come)
                assert (await listed(http, one))[0][0] == "node1"
                assert another.stop() == 0
            return name not in dict(await listed(http, one))

        # Leaving has to be done in 0.3 s, or the entry stays for most of a minute.
        await until(another_leaves)


async def listed(http: aiohttp.ClientSession, sidecar: Sidecar) -> list[tuple[str, str]]:
    """The workers that a process knows of, by name and pod; itself comes first."""
    async with http.get(f"{sidecar.ops_url}/v1/workers") as response:
        answer: dict[str, list[dict[str, Any]]] = await response.json()
    return [(each["name"], each["pod"]) for each in answer["workers"]]


async def test_two_processes_of_one_name_are_reported(
    tmp_path: Path, mongo_uri: str, mongo_collection: str
) -> None:
    folders = [tmp_path / "1", tmp_path / "2"]
    for folder in folders:
        folder.mkdir()
    first, second = folders
    with (
        running_sidecar(first, "node1", mongo_uri, collection=mongo_collection) as one,
        running_sidecar(second, "node1", mongo_uri, collection=mongo_collection),
    ):
        wait_until(lambda: "another process has this worker's name" in one.log.read_text(), 60)
