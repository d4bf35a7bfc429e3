"""A web application's sessions, as its Moorline sidecar keeps them: the routes by cookie.

The browser's `Cookie` header goes to the sidecar as it is, and every `Set-Cookie` of the answer
goes back to the browser. The application knows neither ids nor the names of cookies.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, Self

import aiohttp
import msgspec
from msgspec import Struct

TIMEOUT: Final = aiohttp.ClientTimeout(total=5)
"""The sidecar has an answer within 3 s, also while its store is away."""

RETRY_SECONDS: Final = 1

_GONE: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_LATER: Final = frozenset({HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})


class Session(Struct, frozen=True):
    """What the shop reads of a session; the rest is passed over."""

    worker: str
    version: int
    principal: str | None
    attributes: Mapping[str, Any]
    new: bool


class Answer(Struct, frozen=True):
    """`session` is None after changes, and where there is none; `cookies` are for the browser."""

    session: Session | None = None
    cookies: tuple[str, ...] = ()
    is_gone: bool = False


class Unavailable(Exception):
    """No session can be had now; `is_applied` is None where a change perhaps happened."""

    def __init__(self, retry_seconds: int, *, is_applied: bool | None = False) -> None:
        self.retry_seconds = retry_seconds
        self.is_applied = is_applied
        super().__init__(f"the sessions are unavailable, try again in {retry_seconds} s")


class Refused(Exception):
    """The sidecar does not accept the request; `detail` is its sentence."""

    def __init__(self, status: int, detail: str) -> None:
        self.status = status
        self.detail = detail
        super().__init__(f"{status}: {detail}")


class _Problem(Struct, frozen=True):
    detail: str = ""


class Sessions:
    """The sidecar at `url`, or on the unix socket at `socket`, which goes first.

    Every method takes the browser's `Cookie` header, empty for none.

    Raises, from each of them:
        Unavailable: try again later.
        Refused: it does not accept what is asked.
    """

    def __init__(self, url: str, socket: str | None = None) -> None:
        connector = aiohttp.UnixConnector(socket) if socket else aiohttp.TCPConnector()
        self._http = aiohttp.ClientSession(
            "http://localhost" if socket else url,
            connector=connector,
            # Cookies belong to the browsers, never to this client.
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=TIMEOUT,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._http.close()

    async def read(self, cookie: str) -> Answer:
        """The browser's session, if it has one."""
        return await self._call("GET", "", cookie)

    async def open(self, cookie: str, content: Mapping[str, Any], key: str | None = None) -> Answer:
        """The browser's session, or a new one with this content (`attributes`, `principal`)."""
        return await self._call("POST", "", cookie, content, key)

    async def change(
        self, cookie: str, change: Mapping[str, Any], key: str | None = None
    ) -> Answer:
        """Change it; under the same `key` again, it is not changed again."""
        return await self._call("PATCH", "", cookie, change, key)

    async def renew(self, cookie: str, change: Mapping[str, Any], key: str | None = None) -> Answer:
        """Give it a new id, with a change: a login. Under the same `key` again, it is that id."""
        return await self._call("POST", "/renew", cookie, change, key)

    async def end(self, cookie: str) -> Answer:
        """A logout."""
        return await self._call("DELETE", "", cookie)

    async def _call(
        self,
        method: str,
        verb: str,
        cookie: str,
        content: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> Answer:
        headers = {"Cookie": cookie} if cookie else {}
        if key is not None:
            headers["Idempotency-Key"] = key
        try:
            async with self._http.request(
                method, f"/v1/session{verb}", json=content, headers=headers
            ) as response:
                return _answer(response, await response.read())
        except aiohttp.ClientConnectorError as error:
            raise Unavailable(RETRY_SECONDS) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(RETRY_SECONDS, is_applied=None) from error


def _answer(response: aiohttp.ClientResponse, body: bytes) -> Answer:
    if response.status in _GONE:
        return Answer(is_gone=True)
    if response.status in _LATER:
        is_unknown = response.status == HTTPStatus.GATEWAY_TIMEOUT
        seconds = int(response.headers.get("Retry-After", RETRY_SECONDS))
        raise Unavailable(seconds, is_applied=None if is_unknown else False)
    if not response.ok:
        raise Refused(response.status, msgspec.json.decode(body, type=_Problem).detail)
    session = msgspec.json.decode(body, type=Session) if body else None
    return Answer(session, tuple(response.headers.getall("Set-Cookie", ())))
