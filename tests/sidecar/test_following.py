"""What a running process takes over of a changed configuration, seen from the API."""

import asyncio
import json
import time
from pathlib import Path

from moorline_sidecar.config import Configuration
from moorline_sidecar.domain.cookies import Cookies
from moorline_sidecar.http.api import Api
from moorline_sidecar.http.by_cookie import ByCookie
from moorline_sidecar.http.gate import Gate as Door
from moorline_sidecar.http.limits import Limits
from moorline_sidecar.http.messages import Request, Response
from moorline_sidecar.http.protocol import DataPlane
from moorline_sidecar.serving.following import follow
from moorline_sidecar.sessions.service import Sessions
from moorline_sidecar.stores.memory import MemoryStore

from tests.sidecar.http.raw_client import connected
from tests.sidecar.serving import MEMORY, configured
from tests.sidecar.sessions.faults import Gate, Link


class Parts:
    """What a configuration is about, put together as `serve` does."""

    def __init__(self, configuration: Configuration, limits: Limits | None = None) -> None:
        self.link = Link(MemoryStore(lambda: time.time_ns() // 1_000_000))
        self.sessions = Sessions(self.link, configuration.policy)
        cookies = Cookies(configuration.cookies)
        self.api = Api(self.sessions, ByCookie(self.sessions, cookies), Door())
        self.plane = DataPlane(self.api, limits)
        self.levels: list[str] = []

    def follow(self, configuration: Configuration) -> None:
        logs = self._logs
        follow(self.sessions, self.api, self.plane, logs, configuration)

    async def call(self, method: bytes, path: bytes, cookie: bytes = b"") -> Response:
        headers = {b"cookie": cookie} if cookie else {}
        answer = self.api.handle(Request(method, path, b"", headers, b""))
        return answer if isinstance(answer, Response) else await answer

    def _logs(self, level: str, _always: object) -> None:
        self.levels.append(level)


def written(folder: Path, **spec: object) -> Configuration:
    return configured(folder, {**MEMORY, **spec}).read()


def cookies_of(response: Response) -> list[str]:
    lines = response.fields.decode().split("\r\n")
    return [line.partition(": ")[2] for line in lines if line.startswith("Set-Cookie: ")]


async def test_requests_that_come_go_by_the_new_cookies_and_those_under_way_by_theirs(
    tmp_path: Path,
) -> None:
    parts = Parts(written(tmp_path, cookie={"name": "OLD"}))
    gate = Gate()
    parts.link.plan("insert", gate.before)
    async with parts.sessions:
        early = asyncio.create_task(parts.call(b"POST", b"/v1/session"))
        await gate.reached.wait()
        parts.follow(written(tmp_path, cookie={"name": "NEW", "path": "/shop", "hint": "Off"}))
        late = await parts.call(b"POST", b"/v1/session")
        gate.open()
        given = [cookie.partition("=")[0] for cookie in cookies_of(await early)]
        assert given == ["OLD", "OLD_at"]
        (cookie,) = cookies_of(late)
        assert cookie.startswith("NEW=")
        assert "Path=/shop" in cookie
        presented = cookie.partition(";")[0].encode()
        assert (await parts.call(b"GET", b"/v1/session", presented)).status == 200


async def test_the_context_of_requests_that_name_none_changes(tmp_path: Path) -> None:
    parts = Parts(written(tmp_path))
    async with parts.sessions:
        parts.follow(written(tmp_path, sidecar={"defaultContext": "/shop"}))
        created = await parts.call(b"POST", b"/v1/sessions")
        assert json.loads(created.body)["context"] == "/shop"


async def test_the_level_of_the_log_changes(tmp_path: Path) -> None:
    parts = Parts(written(tmp_path))
    parts.follow(written(tmp_path, sidecar={"logLevel": "debug"}))
    assert parts.levels == ["debug"]


async def test_larger_sessions_are_taken_on_a_connection_that_is_open_already(
    tmp_path: Path,
) -> None:
    parts = Parts(written(tmp_path), Limits(body_bytes=1_000))
    body = json.dumps({"attributes": {"large": "x" * 5_000}}).encode()
    raw = (
        b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    async with parts.sessions, parts.plane as plane:
        await plane.start([("127.0.0.1", 0)])
        async with connected(plane.port) as client:
            await client.ask(raw[: raw.index(b"Content-Type")] + b"Content-Length: 0\r\n\r\n")
            parts.follow(written(tmp_path, sessions={"maxBytes": "8Ki"}))
            assert (await client.ask(raw)).status == 201
            parts.follow(written(tmp_path, sessions={"maxBytes": "1Ki"}))
            answer = await client.ask(raw)
            assert (answer.status, answer.members["limit"]) == (413, 1_024)
            assert not answer.closes, "the body was taken, the session is too large"
            await client.send(
                raw[: raw.index(b"Content-Length")] + b"Content-Length: 99999\r\n\r\n"
            )
            answer = await client.answer()
            assert (answer.status, answer.members["limit"]) == (413, 1_024)
            assert answer.closes, "the body was not taken"
