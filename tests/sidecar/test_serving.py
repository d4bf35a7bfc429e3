import asyncio
import io
import json
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from moorline_sidecar.errors import ConfigurationError
from moorline_sidecar.serving import serve
from structlog.testing import capture_logs

from tests.sidecar.http.raw_client import connected
from tests.sidecar.serving import MEMORY, configured, running, silent


async def test_cookies_follow_the_configuration(tmp_path: Path) -> None:
    spec = {**MEMORY, "cookie": {"name": "S", "sameSite": "Strict", "hint": "Suffix"}}
    async with (
        running(configured(tmp_path, spec)) as listening,
        aiohttp.ClientSession() as http,
        http.post(f"http://{listening.data}/v1/session") as response,
    ):
        (cookie,) = response.headers.getall("Set-Cookie")
    assert cookie.startswith("S=")
    assert ".node3; " in cookie
    assert "SameSite=Strict" in cookie


async def test_sessions_may_be_as_large_as_configured(tmp_path: Path) -> None:
    spec = {**MEMORY, "sessions": {"maxBytes": "8Mi"}, "cache": {"maxBytes": "256Mi"}}
    body = io.BytesIO(json.dumps({"attributes": {"large": "x" * (5 << 20)}}).encode())
    headers = {"Content-Type": "application/json"}
    async with (
        running(configured(tmp_path, spec)) as listening,
        aiohttp.ClientSession() as http,
        http.post(f"http://{listening.data}/v1/sessions", data=body, headers=headers) as response,
    ):
        assert response.status == 201


async def test_a_body_that_is_too_long_for_any_session_is_told_what_one_may_have(
    tmp_path: Path,
) -> None:
    head = b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n"
    async with (
        running(configured(tmp_path, MEMORY)) as listening,
        connected(listening.data.port) as client,
    ):
        answer = await client.ask(head)
        assert (answer.status, answer.members["limit"]) == (413, 1_048_576)


async def test_limits_follow_the_configuration(tmp_path: Path) -> None:
    configuration = configured(tmp_path, limits={"headFields": 8})
    headers = {f"X-{number}": "1" for number in range(20)}
    async with running(configuration) as listening, aiohttp.ClientSession() as http:
        url = f"http://{listening.data}/v1/sessions"
        async with http.post(url, headers=headers) as response:
            assert response.status == 431


async def test_readiness_ends_before_service_does(tmp_path: Path) -> None:
    """A request under way is finished, while nobody new is sent here."""
    stop, listening = asyncio.Event(), asyncio.get_running_loop().create_future()
    configuration = configured(tmp_path)
    async with asyncio.TaskGroup() as tasks, aiohttp.ClientSession() as http:
        serving = tasks.create_task(serve(configuration, stop, listening.set_result, silent))
        where = await listening
        reader, writer = await asyncio.open_connection(where.data.host, where.data.port)
        writer.write(
            b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
            b"Content-Type: application/json\r\n\r\n{"
        )
        async with http.get(f"http://{where.health}/readyz") as response:
            assert response.status == 200
        stop.set()
        status = 200
        while status == 200:
            async with http.get(f"http://{where.health}/readyz") as response:
                status = response.status
        assert status == 503
        writer.write(b"}")
        assert (await reader.read()).startswith(b"HTTP/1.1 201 ")
        writer.close()
        assert await serving


async def test_a_backend_without_its_uri_is_a_mistake(tmp_path: Path) -> None:
    configuration = configured(tmp_path, {"backend": {"type": "Infinispan", "infinispan": {}}})
    with pytest.raises(ConfigurationError, match="MOORLINE_BACKEND_URI"):
        await serve(configuration, asyncio.Event(), lambda _: None, silent)


async def test_no_id_is_logged(tmp_path: Path) -> None:
    with capture_logs() as told:
        async with running(configured(tmp_path)) as listening, aiohttp.ClientSession() as http:
            async with http.post(f"http://{listening.data}/v1/session") as response:
                session_id = (await response.json())["id"]
            for verb in ("renew", "complete", "touch"):
                headers = {"Moorline-Session": session_id}
                url = f"http://{listening.data}/v1/session/{verb}"
                async with http.post(url, headers=headers) as response:
                    session_id = (await response.json())["id"] if verb == "renew" else session_id
    assert told
    assert session_id not in str(told)


def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the loop's time go on by a tenth of a second at once: where all stands still, so does it.

    What is to happen within a second would else be too late on a machine that pauses for a part of
    it. A wait takes up to twice as long.
    """
    loop = asyncio.get_running_loop()
    really = loop.time
    looked_at = now = really()

    def time() -> float:
        nonlocal looked_at, now
        before, looked_at = looked_at, really()
        now += min(looked_at - before, 0.1)
        return now

    monkeypatch.setattr(loop, "time", time)


async def test_a_client_that_does_not_end_leaves_time_to_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where there is hardly any: a pod's grace of 3 s leaves one."""
    without_pauses(monkeypatch)
    spec = {**MEMORY, "sessions": {"save": {"mode": "Shutdown"}}}
    source = configured(tmp_path, spec, {"MOORLINE_SHUTDOWN_SECONDS": "1"})
    async with (
        AsyncExitStack() as later,
        running(source) as listening,
        aiohttp.ClientSession() as http,
    ):
        url = f"http://{listening.data}/v1/sessions"
        async with http.post(url) as response:
            session = (await response.json())["id"]
        async with http.patch(f"{url}/{session}", json={"set": {"user": "ada"}}) as response:
            assert response.headers["Moorline-Unsaved"] == "true"
        client = await later.enter_async_context(connected(listening.data.port))
        await client.send(
            b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
            b"Content-Type: application/json\r\n\r\n{"
        )
        async with http.get(f"{url}/{session}") as response:
            assert response.status == 200, "what was sent before it has come, too"
