"""The API on a store in memory, in corners that only its headers and statuses show."""

import json
import time
from collections.abc import AsyncIterator

import pytest
from moorline_sidecar.domain.cookies import CookiePolicy, Cookies
from moorline_sidecar.domain.policies import Policy
from moorline_sidecar.http.api import Api
from moorline_sidecar.http.by_cookie import ByCookie
from moorline_sidecar.http.gate import Gate
from moorline_sidecar.http.messages import Request, Response
from moorline_sidecar.sessions.service import Sessions
from moorline_sidecar.stores.memory import MemoryStore


class Worker:
    """The API of one worker, called without a socket."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        self._api = Api(sessions, ByCookie(sessions, Cookies(CookiePolicy())), Gate())

    async def call(self, method: str, target: str, body: object = None, **headers: str) -> Response:
        """`headers` with `_` for `-`; a body of None is none."""
        raw = b"" if body is None else json.dumps(body).encode()
        fields = {
            name.replace("_", "-").encode(): value.encode() for name, value in headers.items()
        }
        if body is not None:
            fields[b"content-length"] = b"%d" % len(raw)
        path, _, query = target.partition("?")
        answer = self._api.handle(
            Request(method.encode(), path.encode(), query.encode(), fields, raw)
        )
        return answer if isinstance(answer, Response) else await answer

    async def new(self, **attributes: object) -> str:
        created = await self.call("POST", "/v1/sessions", {"attributes": attributes})
        session_id: str = json.loads(created.body)["id"]
        return session_id


@pytest.fixture
async def workers() -> AsyncIterator[tuple[Worker, Worker]]:
    store = MemoryStore(lambda: time.time_ns() // 1_000_000)
    async with (
        Sessions(store, Policy(worker="n1")) as one,
        Sessions(store, Policy(worker="n2")) as two,
    ):
        yield Worker(one), Worker(two)


async def test_a_create_repeated_in_the_grace_writes_no_cookie(
    workers: tuple[Worker, Worker],
) -> None:
    one, _ = workers
    first = await one.call("POST", "/v1/session", idempotency_key="k")
    session_id = json.loads(first.body)["id"]
    await one.call("POST", "/v1/session/renew", cookie=f"SESSION={session_id}")
    again = await one.call("POST", "/v1/session", idempotency_key="k")
    assert again.status == 201
    assert b"Moorline-Renewed: true" in again.fields
    assert b"Set-Cookie" not in again.fields


async def test_contexts_that_a_session_does_not_have_take_no_memory(
    workers: tuple[Worker, Worker],
) -> None:
    one, _ = workers
    session_id = await one.new()
    for number in range(100):
        answer = await one.call("GET", f"/v1/sessions/{session_id}?context=/{number}")
        assert json.loads(answer.body)["attributes"] == {}
    entry = one.sessions.core.l1.peek(one.sessions.key_of(session_id))
    assert entry is not None
    assert entry.answer is None or entry.answer.other is None


async def test_an_attribute_that_a_stale_copy_does_not_have_is_deleted(
    workers: tuple[Worker, Worker],
) -> None:
    one, two = workers
    session_id = await one.new()
    await two.call("PATCH", f"/v1/sessions/{session_id}", {"set": {"x": 1}})
    target = f"/v1/sessions/{session_id}/attributes/x"
    assert (await one.call("DELETE", target, moorline_hint="1.n1")).status == 204
    assert (await two.call("GET", target)).status == 404
    assert (await one.call("DELETE", target)).status == 404


async def test_get_or_create_answers_with_the_session_whatever_the_client_has(
    workers: tuple[Worker, Worker],
) -> None:
    one, _ = workers
    session_id = await one.new()
    answer = await one.call(
        "POST", "/v1/session", cookie=f"SESSION={session_id}", if_none_match="*"
    )
    assert answer.status == 200


async def test_two_dead_cookies_are_ended_like_one(workers: tuple[Worker, Worker]) -> None:
    one, _ = workers
    ids = [await one.new(), await one.new()]
    for session_id in ids:
        await one.call("DELETE", f"/v1/sessions/{session_id}")
    cookies = "; ".join(f"SESSION={session_id}" for session_id in ids)
    answer = await one.call("DELETE", "/v1/session", cookie=cookies)
    assert answer.status == 204
    assert b"Set-Cookie" not in answer.fields


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("PATCH", "/v1/sessions/{id}", 411),
        ("PATCH", "/v1/session", 411),
        ("PUT", "/v1/sessions/{id}/attributes", 411),
        ("PUT", "/v1/sessions/{id}/attributes/a", 411),
        ("PUT", "/v1/sessions/{id}", 200),
        ("POST", "/v1/sessions", 201),
        ("POST", "/v1/sessions/{id}/complete", 204),
    ],
)
async def test_a_body_is_asked_for_where_there_is_nothing_to_do_without(
    workers: tuple[Worker, Worker], method: str, target: str, status: int
) -> None:
    one, _ = workers
    session_id = await one.new()
    answer = await one.call(method, target.format(id=session_id), moorline_session=session_id)
    assert answer.status == status


async def test_a_preference_is_told_applied_only_to_who_had_it(
    workers: tuple[Worker, Worker],
) -> None:
    one, _ = workers
    target = f"/v1/sessions/{await one.new()}"
    replaced = await one.call("PUT", target, {"attributes": {}})
    assert (replaced.status, b"Preference-Applied" in replaced.fields) == (200, False)
    patched = await one.call("PATCH", target, {"set": {"x": 1}}, prefer="return=representation")
    assert (patched.status, b"Preference-Applied" in patched.fields) == (200, True)


async def test_a_forged_hint_is_overridden_by_an_answer_of_the_store(
    workers: tuple[Worker, Worker],
) -> None:
    one, _ = workers
    target = f"/v1/sessions/{await one.new()}"
    for method, path, body in (("POST", f"{target}/complete", None), ("PATCH", target, {})):
        answer = await one.call(method, path, body, moorline_hint="777.n1")
        assert b"Moorline-Hint: 1.n1\r\n" in answer.fields
