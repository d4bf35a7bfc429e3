"""A small web shop that keeps nothing itself: Moorline knows who is there and what they chose.

    python -m e2e.app.shop

Configured by the environment alone: `MOORLINE_URL` or `MOORLINE_SOCKET`, which every pod of a
SessionCluster has, `SHOP_LISTEN` (`host:port`, default `0.0.0.0:8080`) and `HOSTNAME`, the pod's.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import web

from e2e.app.pages import ITEMS, Shopfront, shop_page, trouble_page
from e2e.app.sessions import Answer, Refused, Sessions, Unavailable

DEFAULT_LISTEN: Final = "0.0.0.0:8080"
DEFAULT_URL: Final = "http://127.0.0.1:7070"

POD_HEADER: Final = "Shop-Pod"
"""Names the pod that answered, on redirects too."""

BY_HAND: Final = "Use the buttons of the shop."

_CART: Final = "cart:"
"""Before the item, in the name of the attribute that counts it."""

_USER: Final = re.compile(r"[^\x00-\x1f]{1,60}")
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Shop:
    """The handlers; `pod` is shown on every page."""

    def __init__(self, sessions: Sessions, pod: str) -> None:
        self._sessions = sessions
        self._pod = pod

    def application(self) -> web.Application:
        """The web application with every route."""
        application = web.Application(middlewares=[self._explained])
        application.add_routes(
            [
                web.get("/", self.front),
                web.post("/login", self.login),
                web.post("/logout", self.logout),
                web.post("/cart", self.add),
            ]
        )
        return application

    async def front(self, request: web.Request) -> web.Response:
        """The page. A visitor without a session gets none by looking."""
        answer = await self._sessions.read(_cookie(request))
        session = answer.session
        front = Shopfront(
            pod=self._pod,
            user=session.principal if session else None,
            cart=_cart(session.attributes) if session else {},
            worker=session.worker if session else None,
            version=session.version if session else None,
            key=secrets.token_urlsafe(16),
        )
        if "application/json" in request.headers.get("Accept", ""):
            response = web.Response(
                body=msgspec.json.encode(front), content_type="application/json"
            )
        else:
            response = web.Response(text=shop_page(front), content_type="text/html")
        return _with_cookies(response, answer)

    async def login(self, request: web.Request) -> web.Response:
        """Make the visitor somebody, under an id that nobody can have known before."""
        form = await request.post()
        user, key = str(form.get("user", "")).strip(), _key(form)
        if _USER.fullmatch(user) is None:
            raise Refused(HTTPStatus.BAD_REQUEST, "Tell a name of at most 60 characters.")
        cookie = _cookie(request)
        # Under a key: a visitor whose answer was lost comes again, and gets the session that was
        # made then, with the cart in it.
        answer = await self._sessions.renew(cookie, {"principal": user}, key)
        if answer.is_gone:
            answer = await self._sessions.open(cookie, {"principal": user}, key)
        return _back(answer)

    async def logout(self, request: web.Request) -> web.Response:
        return _back(await self._sessions.end(_cookie(request)))

    async def add(self, request: web.Request) -> web.Response:
        """Put one more of an item into the cart, which may be that of a stranger."""
        form = await request.post()
        item, key = str(form.get("item", "")), _key(form)
        if item not in ITEMS:
            raise Refused(HTTPStatus.BAD_REQUEST, BY_HAND)
        cookie = _cookie(request)
        answer = await self._sessions.change(cookie, {"increment": {_CART + item: 1}}, key)
        if answer.is_gone:
            answer = await self._sessions.open(cookie, {})
            # Not put in as it is made: the same click again has a session, and changes it.
            opened = "; ".join(header.partition(";")[0] for header in answer.cookies)
            changed = await self._sessions.change(opened, {"increment": {_CART + item: 1}}, key)
            answer = Answer(changed.session, answer.cookies + changed.cookies)
        return _back(answer)

    @web.middleware
    async def _explained(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Names the pod, and tells people what is wrong."""
        try:
            response = await handler(request)
        except Unavailable as error:
            response = _sorry(error)
        except Refused as error:
            page = trouble_page("That did not work", error.detail)
            response = web.Response(status=error.status, text=page, content_type="text/html")
        response.headers[POD_HEADER] = self._pod
        response.headers["Cache-Control"] = "no-store"
        return response


def _key(form: Mapping[str, object]) -> str:
    """The click's own, of the page that it was made on."""
    key = str(form.get("key", ""))
    if _KEY.fullmatch(key) is None:
        raise Refused(HTTPStatus.BAD_REQUEST, BY_HAND)
    return key


def _cookie(request: web.Request) -> str:
    return "; ".join(request.headers.getall("Cookie", ()))


def _cart(attributes: Mapping[str, int]) -> dict[str, int]:
    return {
        name.removeprefix(_CART): count
        for name, count in attributes.items()
        if name.startswith(_CART)
    }


def _back(answer: Answer) -> web.Response:
    """To the page, so that a reload sends no form again."""
    return _with_cookies(
        web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": "/"}), answer
    )


def _with_cookies(response: web.Response, answer: Answer) -> web.Response:
    for cookie in answer.cookies:
        response.headers.add("Set-Cookie", cookie)
    return response


def _sorry(error: Unavailable) -> web.Response:
    sentence = (
        "We could not find your cart just now. Nothing is lost: try again in a moment."
        if error.is_applied is False
        else "We do not know whether that worked. Try again: nothing is counted twice."
    )
    return web.Response(
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        text=trouble_page("One moment, please", sentence),
        content_type="text/html",
        headers={"Retry-After": str(error.retry_seconds)},
    )


async def serve(environ: Mapping[str, str]) -> None:
    """Serve until SIGTERM or SIGINT; says where on stderr, as a line of JSON."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    host, _, port = environ.get("SHOP_LISTEN", DEFAULT_LISTEN).rpartition(":")
    url = environ.get("MOORLINE_URL", DEFAULT_URL)
    async with Sessions(url, environ.get("MOORLINE_SOCKET")) as sessions:
        runner = web.AppRunner(Shop(sessions, environ.get("HOSTNAME", "?")).application())
        await runner.setup()
        try:
            await web.TCPSite(runner, host, int(port)).start()
            address = "{}:{}".format(*runner.addresses[0][:2])
            print(json.dumps({"message": "ready", "data": address}), file=sys.stderr, flush=True)
            await stop.wait()
        finally:
            await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(os.environ))
