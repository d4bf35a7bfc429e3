from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from moorline_sidecar.serving import Listening

from tests.sidecar.serving import MEMORY, configured, running


class Client:
    """Talks to the listeners of one sidecar; answers are a status and what the JSON says."""

    def __init__(self, listening: Listening, http: aiohttp.ClientSession) -> None:
        self.listening = listening
        self.http = http

    async def ops(
        self, method: str, path: str, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        return await self._ask(method, f"http://{self.listening.ops}{path}", headers)

    async def data(
        self, method: str, path: str, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        return await self._ask(method, f"http://{self.listening.data}{path}", headers)

    async def created(self, number: int = 1) -> list[str]:
        answers = [await self.data("POST", "/v1/sessions") for _ in range(number)]
        return [answer["id"] for _, answer in answers]

    async def _ask(
        self, method: str, url: str, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        async with self.http.request(method, url, headers=headers) as response:
            if not await response.read():
                return response.status, None
            return response.status, await response.json(content_type=None)


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with running(configured(tmp_path)) as listening, aiohttp.ClientSession() as http:
        yield Client(listening, http)


async def test_statistics_are_one_flat_object(client: Client) -> None:
    first, _ = await client.created(2)
    await client.data("GET", f"/v1/sessions/{first}")
    await client.data("DELETE", f"/v1/sessions/{first}")
    status, stats = await client.ops("GET", "/v1/stats")
    assert status == 200
    assert not any(isinstance(value, dict | list) for value in stats.values())
    assert stats["sessionsCreated"] == 2
    assert (stats["sessionsMax"], stats["sessionsCurrent"]) == (2, 1)
    assert stats["storeCount"] == 2
    assert stats["sessionTimeTotal"] >= 0
    assert {
        "sessionsTotal",
        "sessionTimeMean",
        "sessionTimeMax",
        "sessionTimeStdDev",
        "hitRatio",
        "unsaved",
        "conflicts",
        "lastScavenge",
    } <= stats.keys()


async def test_a_reset_begins_statistics_anew_but_not_metrics(client: Client) -> None:
    await client.created(3)
    assert await client.ops("POST", "/v1/stats/reset") == (204, None)
    _, stats = await client.ops("GET", "/v1/stats")
    assert stats["sessionsCreated"] == 0
    assert stats["storeCount"] == 3
    await client.created(1)
    _, stats = await client.ops("GET", "/v1/stats")
    assert stats["sessionsCreated"] == 1


@pytest.mark.parametrize("query", ["", "?scope=node", "?scope=all"])
async def test_a_scavenge_says_what_it_did(client: Client, query: str) -> None:
    status, done = await client.ops("POST", f"/v1/scavenge{query}")
    assert status == 200
    assert done["expired"] == 0
    _, stats = await client.ops("GET", "/v1/stats")
    assert stats["lastScavenge"].endswith("Z")


async def test_a_purge_tells_what_the_command_tells(client: Client) -> None:
    (gone,) = await client.created(1)
    await client.data("DELETE", f"/v1/sessions/{gone}")
    status, done = await client.ops("POST", "/v1/purge?full=true&dryRun=true")
    assert status == 200
    assert done.keys() == {
        "invalidDeleted",
        "validDeleted",
        "dryRun",
        "durationSeconds",
        "complete",
    }
    assert done["dryRun"]
    _, done = await client.ops("POST", "/v1/purge")
    assert (done["invalidDeleted"], done["dryRun"], done["complete"]) == (0, False, True)


async def test_the_cache_is_listed_in_pages_of_handles(client: Client) -> None:
    ids = await client.created(5)
    handles: list[str] = []
    page: Any = {"next": ""}
    while page["next"] is not None:
        _, page = await client.ops("GET", f"/v1/cache?limit=2&after={page['next']}")
        assert len(page["handles"]) <= 2
        handles += page["handles"]
    assert len(handles) == 5
    assert handles == sorted(set(handles))
    assert not any(session_id in handle for session_id in ids for handle in handles)


async def test_an_evicted_session_is_still_there(client: Client) -> None:
    (kept,) = await client.created(1)
    _, page = await client.ops("GET", "/v1/cache")
    (handle,) = page["handles"]
    assert page["next"] is None
    assert await client.ops("DELETE", f"/v1/cache/{handle}") == (204, None)
    assert (await client.ops("GET", "/v1/cache"))[1]["handles"] == []
    status, problem = await client.ops("DELETE", f"/v1/cache/{handle}")
    assert (status, problem["type"]) == (404, "urn:moorline:problem:session-unknown")
    assert (await client.data("GET", f"/v1/sessions/{kept}"))[0] == 200


async def test_a_worker_introduces_itself(client: Client) -> None:
    status, answer = await client.ops("GET", "/v1/workers")
    (worker,) = answer["workers"]
    assert status == 200
    assert worker["name"] == "node3"
    assert worker["since"].endswith("Z")
    assert worker.keys() >= {"pid", "version", "sessions", "connections", "unsaved"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/stats?x=1"),
        ("POST", "/v1/scavenge?scope=everything"),
        ("POST", "/v1/scavenge?scope=node&scope=all"),
        ("POST", "/v1/purge?full=yes"),
        ("POST", "/v1/purge?dry-run=true"),
        ("GET", "/v1/cache?limit=0"),
        ("GET", "/v1/cache?limit=1001"),
        ("GET", "/v1/cache?limit=-1"),
        ("GET", "/v1/cache?limit=²"),
        ("GET", "/v1/cache?limit="),
    ],
)
async def test_a_query_that_means_nothing_is_refused(
    client: Client, method: str, path: str
) -> None:
    status, problem = await client.ops(method, path)
    assert (status, problem["type"]) == (400, "urn:moorline:problem:malformed-request")


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz", "/v1/sessions", "/v1/cache/a/b"])
async def test_nothing_else_is_served(client: Client, path: str) -> None:
    status, problem = await client.ops("GET", path)
    assert (status, problem["type"]) == (404, "urn:moorline:problem:route-unknown")


async def test_a_route_takes_its_methods_alone(client: Client) -> None:
    status, problem = await client.ops("GET", "/v1/purge")
    assert (status, problem["type"]) == (405, "urn:moorline:problem:method-not-allowed")


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "null"}, {"Sec-Fetch-Site": "none"}, {"Host": "evil.example"}],
    ids=lambda headers: next(iter(headers)),
)
@pytest.mark.parametrize("path", ["/v1/stats", "/nowhere"])
async def test_browsers_are_refused(client: Client, path: str, headers: dict[str, str]) -> None:
    status, problem = await client.ops("GET", path, headers=headers)
    assert (status, problem["type"]) == (403, "urn:moorline:problem:not-for-browsers")


async def test_a_token_guards_data_and_operations_but_not_health(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    spec = {**MEMORY, "sidecar": {"tokenSecretRef": {"name": "t"}}}
    configuration = configured(tmp_path, spec, {"MOORLINE_TOKEN_FILE": str(tmp_path)})
    bearer = {"Authorization": "Bearer s3cret"}
    async with AsyncExitStack() as stack:
        listening = await stack.enter_async_context(running(configuration))
        client = Client(listening, await stack.enter_async_context(aiohttp.ClientSession()))
        for ask in (client.data, client.ops):
            path = "/v1/sessions" if ask == client.data else "/v1/scavenge"
            assert (await ask("POST", path))[0] == 401
            assert (await ask("POST", path, headers=bearer))[0] in {200, 201}
        async with client.http.get(f"http://{listening.health}/readyz") as response:
            assert response.status == 200
