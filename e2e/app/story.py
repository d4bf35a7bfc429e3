"""The story that the demo tells: what a user does, what she sees, and what she was promised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import aiohttp
from msgspec import Struct

from e2e.app.browser import Browser, Visit
from e2e.app.pods import Pod

USER: Final = "ada"
BEFORE: Final = ("coffee", "cake", "coffee", "tea", "cake", "coffee", "honey")
AFTER: Final = ("tea", "coffee", "cake", "honey", "coffee", "tea", "cake", "coffee")
LOOKS_EVERY: Final = 3
"""She looks once more after so many clicks, which shifts whose turn it is to write."""


class Verdict(Struct, frozen=True):
    """What came of it; `broken` are the promises that were not kept."""

    served: Mapping[str, int]
    errors: int
    items_put: int
    items_in_cart: int
    after_logout: str
    broken: tuple[str, ...]

    def __str__(self) -> str:
        requests = sum(self.served.values())
        by_pod = ", ".join(f"{count} by {pod}" for pod, count in sorted(self.served.items()))
        return (
            f"verdict: {requests} requests ({by_pod}); errors seen by the user: {self.errors}; "
            f"items put: {self.items_put}, in the cart: {self.items_in_cart}; "
            f"after logout: {self.after_logout}"
        )


class Story:
    """One user's visit to the shop; `browser` is hers, `pods` are all there are."""

    def __init__(self, browser: Browser, shop_url: str, pods: Mapping[str, Pod]) -> None:
        self._browser = browser
        self._shop_url = shop_url
        self._pods = pods
        self._put: Counter[str] = Counter()
        self._in_cart = 0
        self._key = ""
        self._is_logged_in = False
        self._clicks = 0
        self._broken: list[str] = []

    async def play(self) -> Verdict:
        """The whole story, told on stdout as it happens."""
        print(f"{'':54}{'served by':<16}{'version':>7}{'cart':>6}{'ms':>7}")
        await self._arrive()
        for item in BEFORE:
            await self._add(item)
        await self._click_twice()
        living = await self._lose_a_pod()
        for item in AFTER:
            await self._add(item)
        after_logout = await self._leave(living)
        return Verdict(
            served=dict(self._browser.served),
            errors=self._browser.errors,
            items_put=self._put.total(),
            items_in_cart=self._in_cart,
            after_logout=after_logout,
            broken=tuple(self._broken),
        )

    async def _arrive(self) -> None:
        self._see("Ada opens the shop: a stranger, without a session", await self._browser.look())
        await self._add("tea")
        planted = self._browser.cookie
        visit = await self._browser.press("login", {"user": USER, "key": self._key})
        self._is_logged_in = True
        self._see("logs in: a new id, the same cart", visit)
        async with Browser(self._shop_url, planted) as thief:
            visit = await thief.look()
        user = visit.page.user if visit.page else None
        self._promise(user is None, "the id from before the login is worth nothing after it")
        self._tell("somebody who knew her old id: not logged in", visit)

    async def _add(self, item: str) -> None:
        self._put[item] += 1
        visit = await self._browser.press("cart", {"item": item, "key": self._key})
        self._see(f"puts {item} into the cart", visit)
        self._clicks += 1
        if self._clicks % LOOKS_EVERY == 0:
            self._see("looks at the cart", await self._browser.look())

    async def _click_twice(self) -> None:
        form = {"item": "cake", "key": self._key}
        self._put["cake"] += 1
        first = await self._browser.press("cart", form, follows=False)
        self._tell("puts cake into the cart", first)
        self._see("and clicks once more: counted once", await self._browser.press("cart", form))

    async def _lose_a_pod(self) -> Pod:
        """Kills the one that served her last; the other one."""
        self._put["honey"] += 1
        form = {"item": "honey", "key": self._key}
        visit = await self._browser.press("cart", form, follows=False)
        self._tell("puts honey into the cart", visit)
        lost = visit.pods[0]
        await self._pods[lost].kill()
        print(f"\n    kill -9 {lost}, sidecar and shop: it has just taken the honey\n")
        self._see("looks at the cart", await self._browser.look())
        return next(pod for name, pod in self._pods.items() if name != lost)

    async def _leave(self, living: Pod) -> str:
        cookie = self._browser.cookie
        self._is_logged_in = False
        visit = await self._browser.press("logout")
        self._tell("logs out", visit)
        self._promise(_is_stranger(visit), "after the logout she is a stranger")
        self._promise(self._browser.cookie == "", "the logout takes the cookies back")
        async with Browser(self._shop_url, cookie) as late:
            form = {"item": "tea", "key": "a-request-that-was-late"}
            visit = await late.press("cart", form, follows=False)
            self._tell("a late request with her old cookies", visit)
            visit = await late.look()
            self._tell("the page, with her old cookies", visit)
        self._promise(_is_stranger(visit), "no late request brings her session back")
        status = await _status(living, cookie)
        self._promise(status == HTTPStatus.GONE, "an ended session is answered with 410")
        return f"{status:d}/{'logged out' if _is_stranger(visit) else 'LOGGED IN'}"

    def _see(self, text: str, visit: Visit) -> None:
        """Tell it, and hold the page to what she was promised."""
        self._tell(text, visit)
        page = visit.page
        if page is None:
            self._promise(is_kept=False, what=f"{text}: a page is there, not {visit.statuses}")
            return
        self._key = page.key
        self._in_cart = sum(page.cart.values())
        wanted = USER if self._is_logged_in else None
        self._promise(page.user == wanted, f"{text}: she is {wanted}, not {page.user}")
        self._promise(page.cart == self._put, f"{text}: {dict(self._put)}, not {page.cart}")

    def _promise(self, is_kept: bool, what: str) -> None:  # noqa: FBT001 - it reads as a sentence
        if not is_kept:
            self._broken.append(what)
            print(f"    BROKEN: {what}")

    def _tell(self, text: str, visit: Visit) -> None:
        served = " > ".join(visit.pods) or "nobody"
        page = visit.page
        version = "-" if page is None or page.version is None else str(page.version)
        cart = "-" if page is None else str(sum(page.cart.values()))
        print(f"    {text:<50}{served:<16}{version:>7}{cart:>6}{visit.ms:>7.1f}", flush=True)


def _is_stranger(visit: Visit) -> bool:
    return visit.page is not None and visit.page.user is None and not visit.page.cart


async def _status(pod: Pod, cookie: str) -> int:
    """How its sidecar answers for the session of these cookies."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{pod.sidecar_url}/v1/session", headers={"Cookie": cookie}) as answer,
    ):
        return answer.status
