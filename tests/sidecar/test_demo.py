"""The demo keeps its promises, and the shop in it is polite when it has no sidecar."""

import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer, TestClient, TestServer

from e2e.app.balancer import running_balancer
from e2e.app.demo import arguments_of
from e2e.app.pages import Shopfront, shop_page
from e2e.app.sessions import Sessions
from e2e.app.shop import Shop
from e2e.app.stores import STORES

ROOT: Final = Path(__file__).parents[2]

VERDICT: Final = re.compile(
    r"verdict: (?P<requests>\d+) requests \((?P<one>\d+) by node1, (?P<two>\d+) by node2\); "
    r"errors seen by the user: (?P<errors>\d+); "
    r"items put: (?P<put>\d+), in the cart: (?P<kept>\d+); after logout: (?P<after>.+)"
)


@pytest.fixture
def nowhere() -> Iterator[str]:
    """A URL at which every connection is refused: its port is taken, and nobody listens."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{silent.getsockname()[1]}"


@pytest.fixture
async def lonely_shop(nowhere: str) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    """A shop whose sidecar does not run."""
    async with Sessions(nowhere) as sessions:
        server = TestServer(Shop(sessions, "pod-1").application())
        async with TestClient(server) as client:
            yield client


@pytest.mark.parametrize(
    ("word", "store"),
    [("PostgreSQL", "postgresql"), ("MariaDB", "mysql"), ("valkey", "redis"), ("File", "file")],
)
def test_a_store_is_known_by_its_names_in_any_case(word: str, store: str) -> None:
    arguments = arguments_of(["--store", word, "--l2", "Memcached"])

    assert (arguments.store, arguments.l2) == (store, "memcached")


@pytest.mark.parametrize(
    "options",
    [
        *(pytest.param(["--store", store], id=store) for store in STORES),
        pytest.param(["--store", "sqlite", "--l2", "memcached"], id="sqlite behind memcached"),
    ],
)
def test_the_demo_keeps_its_promises(options: list[str]) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "e2e.app.demo", *options],
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=100,
        text=True,
    )

    if run.returncode == 3 and "apt install" in run.stderr:
        pytest.skip(run.stderr)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stderr == ""
    assert "BROKEN" not in run.stdout
    assert run.stdout.count("kill -9") == 1
    verdict = VERDICT.match(run.stdout.splitlines()[-1])
    assert verdict is not None, run.stdout
    one, two = int(verdict["one"]), int(verdict["two"])
    assert one + two == int(verdict["requests"]) >= 40
    assert min(one, two) >= 10
    assert verdict["errors"] == "0"
    assert verdict["put"] == verdict["kept"] == "18"
    assert verdict["after"] == "410/logged out"


@pytest.mark.parametrize(
    ("method", "path", "form"),
    [
        pytest.param("GET", "/", {}, id="page"),
        pytest.param("POST", "/login", {"user": "ada", "key": "k" * 16}, id="login"),
        pytest.param("POST", "/cart", {"item": "tea", "key": "k" * 16}, id="cart"),
        pytest.param("POST", "/logout", {}, id="logout"),
    ],
)
async def test_without_a_sidecar_the_shop_asks_for_patience(
    lonely_shop: TestClient[web.Request, web.Application],
    method: str,
    path: str,
    form: dict[str, str],
) -> None:
    async with lonely_shop.request(method, path, data=form) as answer:
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "1"
        assert "Nothing is lost" in await answer.text()


@pytest.mark.parametrize(
    ("path", "form"),
    [
        pytest.param("/login", {"user": " ", "key": "k" * 16}, id="nobody"),
        pytest.param("/login", {"user": "x" * 61, "key": "k" * 16}, id="long-name"),
        pytest.param("/login", {"user": "ada"}, id="login-without-a-key"),
        pytest.param("/cart", {"item": "yacht", "key": "k" * 16}, id="unknown-item"),
        pytest.param("/cart", {"item": "tea", "key": "short"}, id="guessable-key"),
    ],
)
async def test_a_form_that_is_none_of_the_shops_is_refused(
    lonely_shop: TestClient[web.Request, web.Application], path: str, form: dict[str, str]
) -> None:
    async with lonely_shop.post(path, data=form) as answer:
        assert answer.status == 400


def test_a_name_is_text_on_the_page_whatever_is_in_it() -> None:
    front = Shopfront(
        pod="pod-1", user="<script>", cart={"tea": 2}, worker="node1", version=3, key="k"
    )

    page = shop_page(front)

    assert "Hello, &lt;script&gt;." in page
    assert "<script>" not in page


async def test_the_balancer_passes_by_who_refuses_the_connection(nowhere: str) -> None:
    async def shown(request: web.BaseRequest) -> web.Response:
        return web.Response(text=f"{request.method} {request.path_qs} {await request.text()}")

    async with (
        RawTestServer(shown) as backend,
        running_balancer([nowhere, str(backend.make_url("")).rstrip("/")]) as url,
        aiohttp.ClientSession() as http,
    ):
        for _ in range(3):
            async with http.post(f"{url}/a%2Fb?c=d", data=b"once") as answer:
                assert answer.status == 200
                assert await answer.text() == "POST /a%2Fb?c=d once"


async def test_without_any_backend_the_balancer_says_so(nowhere: str) -> None:
    async with (
        running_balancer([nowhere]) as url,
        aiohttp.ClientSession() as http,
        http.get(url) as answer,
    ):
        assert answer.status == 502
