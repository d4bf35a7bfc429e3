import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer
from moorline_operator.health import health_application


class Probes:
    """The listener of a replica of which `alive` and `ready` tell what is wrong."""

    def __init__(self) -> None:
        self.alive: str | None = None
        self.ready: str | None = None
        self.server = TestServer(
            health_application(
                {"watches": lambda: self.alive},
                {"webhook": lambda: self.ready, "clusters": lambda: None},
                lambda: b"moorline_operator_leader 1.0\n",
            )
        )

    async def get(self, path: str) -> tuple[int, dict[str, Any]]:
        async with ClientSession() as http, http.get(self.server.make_url(path)) as answer:
            return answer.status, json.loads(await answer.read())


@pytest.fixture
async def probes() -> AsyncIterator[Probes]:
    probes = Probes()
    await probes.server.start_server()
    yield probes
    await probes.server.close()


async def test_a_replica_with_which_nothing_is_wrong_is_alive_and_ready(probes: Probes) -> None:
    assert await probes.get("/healthz") == (200, {"ok": True})
    assert await probes.get("/readyz") == (200, {"ok": True})


async def test_what_is_wrong_is_told_by_the_name_of_its_check(probes: Probes) -> None:
    probes.ready = "draining"
    assert await probes.get("/readyz") == (503, {"ok": False, "wrong": {"webhook": "draining"}})
    # Who only drains must not be restarted.
    assert (await probes.get("/healthz"))[0] == 200


async def test_a_deaf_replica_is_not_alive(probes: Probes) -> None:
    probes.alive = "nothing heard for 300 s of: pods"
    assert (await probes.get("/healthz"))[0] == 503


async def test_metrics_are_prometheus_text(probes: Probes) -> None:
    async with (
        ClientSession() as http,
        http.get(probes.server.make_url("/metrics")) as answer,
    ):
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert await answer.text() == "moorline_operator_leader 1.0\n"
