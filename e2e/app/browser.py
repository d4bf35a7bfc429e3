"""A person's browser: it keeps cookies, follows redirects, and presses the buttons of pages."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Final, Self

import aiohttp
import msgspec
from msgspec import Struct
from yarl import URL

from e2e.app.pages import Shopfront
from e2e.app.shop import POD_HEADER

TIMEOUT: Final = aiohttp.ClientTimeout(total=20)
_JSON: Final = {"Accept": "application/json"}


class Visit(Struct, frozen=True):
    """What came of one click: `pods` served its requests; `page` is None where an error came."""

    page: Shopfront | None
    pods: tuple[str, ...]
    statuses: tuple[int, ...]
    ms: float


class Browser:
    """A browser that starts without cookies, or with those of `cookie` for ever."""

    def __init__(self, shop_url: str, cookie: str | None = None) -> None:
        self._url = shop_url
        self._headers = {**_JSON, "Cookie": cookie} if cookie else _JSON
        # It is the shop's address that is unsafe: cookies are not kept for IP addresses otherwise.
        # As with TLS in front of the shop, it gets the cookies that are `Secure`.
        jar = (
            aiohttp.DummyCookieJar()
            if cookie
            else aiohttp.CookieJar(unsafe=True, treat_as_secure_origin=URL(shop_url))
        )
        self._http = aiohttp.ClientSession(cookie_jar=jar, timeout=TIMEOUT)
        self.served: Counter[str] = Counter()
        """Requests, by the pod that answered."""
        self.errors = 0
        """Requests that were answered with an error, or not at all."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._http.close()

    @property
    def cookie(self) -> str:
        """The `Cookie` header of the next request."""
        kept = self._http.cookie_jar.filter_cookies(URL(self._url))
        return "; ".join(f"{name}={morsel.value}" for name, morsel in kept.items())

    async def look(self) -> Visit:
        """Load the page."""
        return await self._visit("GET", "/")

    async def press(
        self, button: str, form: Mapping[str, str] | None = None, *, follows: bool = True
    ) -> Visit:
        """Send a form; its answer is a redirect to the page, which is followed or not."""
        return await self._visit("POST", f"/{button}", form or {}, follows=follows)

    async def _visit(
        self, method: str, path: str, form: Mapping[str, str] | None = None, *, follows: bool = True
    ) -> Visit:
        began = time.perf_counter()
        try:
            async with self._http.request(
                method, self._url + path, data=form, headers=self._headers, allow_redirects=follows
            ) as last:
                body = await last.read()
        except (aiohttp.ClientError, TimeoutError):
            self.errors += 1
            return Visit(None, (), (), _ms_since(began))
        answers = (*last.history, last)
        pods = tuple(answer.headers.get(POD_HEADER, "nobody") for answer in answers)
        statuses = tuple(answer.status for answer in answers)
        self.served.update(pods)
        self.errors += sum(status >= 400 for status in statuses)  # noqa: PLR2004
        page = msgspec.json.decode(body, type=Shopfront) if last.status == 200 else None  # noqa: PLR2004
        return Visit(page, pods, statuses, _ms_since(began))


def _ms_since(began: float) -> float:
    return (time.perf_counter() - began) * 1000
