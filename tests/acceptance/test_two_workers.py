"""Two processes on one store: what is changed or ended on the one holds on the other."""

import asyncio
import random
from http.cookies import SimpleCookie

import aiohttp
import pytest

from tests.sidecar.running import Answer, Client, Sidecar

OPERATIONS = 10_000
CLIENTS = 8
"""On each worker."""


async def test_what_is_changed_on_one_worker_is_read_on_the_other_by_id(
    workers: tuple[Sidecar, Sidecar], client: Client
) -> None:
    one, two = workers
    created = await client.call(one, "POST", "/sessions", {"attributes": {"user": "ada"}})
    path = f"/sessions/{created.body['id']}"
    for number in range(20):
        here, there = random.sample([one, two], 2)
        assert (await client.call(here, "PATCH", path, {"set": {"n": number}})).status == 204
        read = await client.call(there, "GET", path)
        assert read.body["attributes"] == {"user": "ada", "n": number}


async def test_what_is_changed_on_one_worker_is_read_on_the_other_by_cookie(
    workers: tuple[Sidecar, Sidecar], http: aiohttp.ClientSession
) -> None:
    browser = Browser(http)
    assert (await browser.call(workers[0], "POST")).status == 201
    for number in range(20):
        here, there = random.sample(workers, 2)
        assert (await browser.call(here, "PATCH", {"set": {"n": number}})).status == 204
        read = await browser.call(there, "GET")
        assert read.body["attributes"] == {"n": number}


@pytest.mark.timeout(600)
async def test_parallel_changes_on_both_workers_lose_nothing(
    workers: tuple[Sidecar, Sidecar], http: aiohttp.ClientSession
) -> None:
    created = await Client(http).call(workers[0], "POST", "/sessions")
    path = f"/sessions/{created.body['id']}"
    each = OPERATIONS // (2 * CLIENTS)
    names = {f"{worker.worker}-{number}": worker for worker in workers for number in range(CLIENTS)}
    clients = {name: Client(http) for name in names}

    async def work(name: str) -> None:
        for number in range(each):
            change = {"set": {name: number}, "increment": {"count": 1}}
            answer = await clients[name].call(names[name], "PATCH", path, change)
            assert answer.status == 204, answer

    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(work(name))
    # An older hint may be shown an older copy for a while: the last one, or none, may not.
    last = max(clients.values(), key=_hinted_version)
    for reader in (last, Client(http)):
        for worker in workers:
            read = await reader.call(worker, "GET", path)
            assert read.body["attributes"] == {
                "count": 2 * CLIENTS * each,
                **dict.fromkeys(names, each - 1),
            }


async def test_no_late_write_brings_an_ended_session_back(
    workers: tuple[Sidecar, Sidecar], http: aiohttp.ClientSession
) -> None:
    one, two = workers
    for _ in range(25):
        client = Client(http)
        created = await client.call(one, "POST", "/sessions", {"attributes": {"user": "ada"}})
        path = f"/sessions/{created.body['id']}"
        await client.call(two, "GET", path)
        late = [
            Client(http).call(two, "PATCH", path, {"set": {"late": number}}) for number in range(8)
        ]
        late += [Client(http).call(two, "POST", f"{path}/touch") for _ in range(2)]
        late += [Client(http).call(two, "PUT", path, {"attributes": {"late": 1}})]
        ended, *answers = await asyncio.gather(client.call(one, "DELETE", path), *late)
        assert ended.status == 204
        assert {answer.status for answer in answers} <= {200, 204, 410}
        # A copy that the hint names is trusted for `maxTrust`; a write asks the store.
        after = [
            await client.call(worker, method, path, body)
            for worker in (two, one)
            for method, body in (("PATCH", {"set": {"later": 1}}), ("PUT", {}), ("GET", None))
        ]
        assert {answer.status for answer in after} == {410}


async def test_a_race_of_login_and_logout_hands_no_login_to_who_planted_an_id(
    workers: tuple[Sidecar, Sidecar], http: aiohttp.ClientSession
) -> None:
    for round_number in range(25):
        victim, attacker = Client(http), Client(http)
        planted = (await attacker.call(workers[0], "POST", "/sessions")).body["id"]
        old = f"/sessions/{planted}"
        login = victim.call(workers[round_number % 2], "POST", f"{old}/renew", {"principal": "ada"})
        others = [Client(http).call(random.choice(workers), "GET", old) for _ in range(6)]
        others += [Client(http).call(workers[1], "POST", f"{old}/renew") for _ in range(2)]
        answer, *rest = await asyncio.gather(login, *others)
        seen_by_attacker = [each for each in rest if each.status == 200]
        if answer.status == 200:
            # Only one renew wins; nothing that came under the old id shows the login.
            assert answer.body["principal"] == "ada"
            assert answer.body["id"] != planted
            assert all(each.body["principal"] is None for each in seen_by_attacker)
            assert all(each.body["id"] == planted for each in seen_by_attacker)
            new = f"/sessions/{answer.body['id']}"
            assert (await victim.call(workers[1], "GET", new)).body["principal"] == "ada"
            logout = await victim.call(workers[0], "DELETE", new)
            assert logout.status == 204
        else:
            assert answer.status == 410
            assert answer.body["reason"] == "renewed"
        if answer.status == 200:
            # Without a hint, which would let a copy be trusted for `maxTrust` still.
            for worker in workers:
                assert (await Client(http).call(worker, "GET", old)).status == 410


class Browser:
    """Forwards cookies as an application does for its user."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._client = Client(http)
        self.cookies: dict[str, str] = {}

    async def call(
        self, worker: Sidecar, method: str, body: object = None, verb: str = ""
    ) -> Answer:
        self._client.hint = None
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {"Cookie": cookie} if cookie else {}
        answer = await self._client.call(worker, method, f"/session{verb}", body, headers)
        for field in answer.headers.getall("Set-Cookie", []):
            for name, morsel in SimpleCookie(field).items():
                self.cookies[name] = morsel.value
        return answer


def _hinted_version(client: Client) -> int:
    assert client.hint is not None
    return int(client.hint.partition(".")[0])
