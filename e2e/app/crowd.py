"""Many users of a shop at once, who remember what they were told and hold every page to it.

    python -m e2e.app.crowd http://shop --users 20 --seconds 60

Ends after that time or at SIGTERM, with 0 if every promise was kept. Errors are told as they
happen, and are no broken promise: a user whose click fails clicks again, with the same key, and it
counts once. The last line is the report, as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import secrets
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Final

import msgspec
from msgspec import Struct

from e2e.app.balancer import running_balancer
from e2e.app.browser import Browser, Visit
from e2e.app.pages import ITEMS, Shopfront

PATIENCE_SECONDS: Final = 60.0
TRUST_SECONDS: Final = 12.0
"""So long a worker may go on serving a session that ended elsewhere: `cache.maxTrust`, and some."""
PAUSE_SECONDS: Final = 1.0
"""At most, between a user's clicks."""
RETRY_SECONDS: Final = 0.25
"""At most, before a click that failed is tried again."""
BEGUN: Final = "everybody is in"
"""The line that says that every user has seen a page."""


class Report(Struct):
    """What all users saw.

    `clicks` and the `logouts` among them, clicks `with_old_cookies` that were answered,
    `slowest_ms` of one click with its redirect, `failures` (sentences) and `broken` promises,
    requests `served` by each pod, pages by each worker.
    """

    users: int
    clicks: int = 0
    logouts: int = 0
    with_old_cookies: int = 0
    slowest_ms: float = 0.0
    failures: list[str] = []
    broken: list[str] = []
    served: dict[str, int] = {}
    workers: dict[str, int] = {}

    @property
    def requests(self) -> int:
        return sum(self.served.values())


class User:
    """One of them; `name` is how it logs in."""

    def __init__(self, name: str, shop_url: str, browser: Browser, report: Report) -> None:
        self._name = name
        self._shop_url = shop_url
        self._browser = browser
        self._report = report
        self._cart: Counter[str] = Counter()
        self._is_logged_in = False
        self._key = ""
        self._old_cookies: list[tuple[float, str]] = []

    async def live(self, begun: Callable[[], None], stop: asyncio.Event) -> None:
        """Click until told to stop, and look a last time."""
        await self._look()
        begun()
        while not stop.is_set():
            await random.choices(  # noqa: S311 - no secret
                (self._add, self._look, self._log_in, self._log_out, self._come_back),
                (60, 25, 10, 5, 5),
            )[0]()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), random.uniform(0, PAUSE_SECONDS))  # noqa: S311
        await self._look()
        while self._old_cookies:
            await self._come_back()
            self._old_cookies.pop()

    async def _come_back(self) -> None:
        """Somebody looks, or fills a cart, with the cookie of a session that is over."""
        old = [cookie for at, cookie in self._old_cookies if at + TRUST_SECONDS < time.monotonic()]
        if not old:
            return
        form = {"item": random.choice(ITEMS), "key": secrets.token_urlsafe(16)}  # noqa: S311
        async with Browser(self._shop_url, random.choice(old)) as thief:  # noqa: S311
            wants = random.choice((thief.look, lambda: thief.press("cart", form)))  # noqa: S311
            page = (await wants()).page
        if page is not None:
            self._report.with_old_cookies += 1
            self._hold(page.user is None, "logged out, and is in again")
            self._hold(not page.cart, "logged out, and has a cart again")

    async def _look(self) -> None:
        self._check(await self._until_answered("looks", self._browser.look))

    async def _add(self) -> None:
        item = random.choice(ITEMS)  # noqa: S311 - no secret
        form = {"item": item, "key": self._key}
        self._cart[item] += 1
        self._check(await self._until_answered("adds", lambda: self._browser.press("cart", form)))

    async def _log_in(self) -> None:
        self._is_logged_in = True
        form = {"user": self._name, "key": self._key}
        self._check(
            await self._until_answered("logs in", lambda: self._browser.press("login", form))
        )

    async def _log_out(self) -> None:
        if not self._cart or not self._is_logged_in:
            return
        cookie = self._browser.cookie
        self._is_logged_in = False
        self._cart.clear()
        self._report.logouts += 1
        self._check(await self._until_answered("logs out", lambda: self._browser.press("logout")))
        # It was promised with that answer, not before.
        self._old_cookies.append((time.monotonic(), cookie))

    async def _until_answered(
        self, what: str, click: Callable[[], Awaitable[Visit]]
    ) -> Shopfront | None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            visit = await click()
            self._report.clicks += 1
            self._report.slowest_ms = max(self._report.slowest_ms, visit.ms)
            if visit.statuses and visit.statuses[-1] == HTTPStatus.OK:
                return visit.page
            self._tell(
                self._report.failures,
                f"{what}: {visit.statuses or 'no answer'} from {', '.join(visit.pods) or 'nobody'}"
                f" after {visit.ms:.0f} ms",
            )
            if time.monotonic() > deadline:
                self._hold(is_kept=False, what=f"{what}: no answer in {PATIENCE_SECONDS:.0f} s")
                return None
            await asyncio.sleep(random.uniform(0, RETRY_SECONDS))  # noqa: S311 - no secret

    def _check(self, page: Shopfront | None) -> None:
        if page is None:
            return
        self._key = page.key
        if page.worker is not None:
            self._report.workers[page.worker] = self._report.workers.get(page.worker, 0) + 1
        wanted = self._name if self._is_logged_in else None
        self._hold(page.user == wanted, f"is {wanted}, the page of {page.pod} says {page.user}")
        self._hold(
            page.cart == self._cart,
            f"put {dict(self._cart)}, the page of {page.pod} (from {page.worker}, version"
            f" {page.version}) shows {dict(page.cart)}",
        )
        # One mistake is told once.
        self._cart = Counter(page.cart)
        self._is_logged_in = page.user is not None

    def _hold(self, is_kept: bool, what: str) -> None:  # noqa: FBT001 - it reads as a sentence
        if not is_kept:
            self._tell(self._report.broken, what)

    def _tell(self, lines: list[str], what: str) -> None:
        lines.append(f"{time.strftime('%H:%M:%S')} {self._name} {what}")
        print(lines[-1], flush=True)


async def visit(shop_url: str, users: int, stop: asyncio.Event) -> Report:
    """Let so many users shop until told to stop."""
    report = Report(users, failures=[], broken=[], served={}, workers={})
    served: Counter[str] = Counter()
    arrived = 0

    def begun() -> None:
        nonlocal arrived
        arrived += 1
        if arrived == users:
            print(BEGUN, flush=True)

    async with running_balancer([shop_url]) as url:

        async def one(number: int) -> None:
            async with Browser(url) as browser:
                try:
                    await User(f"user{number}", url, browser, report).live(begun, stop)
                finally:
                    served.update(browser.served)

        async with asyncio.TaskGroup() as tasks:
            for number in range(users):
                tasks.create_task(one(number))
    report.served = dict(sorted(served.items()))
    return report


async def _visit(url: str, users: int, seconds: float | None) -> Report:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if seconds is not None:
        loop.call_later(seconds, stop.set)
    return await visit(url, users, stop)


def main() -> int:
    """Tell what they saw."""
    parser = argparse.ArgumentParser(prog="python -m e2e.app.crowd", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--seconds", type=float)
    arguments = parser.parse_args()
    report = asyncio.run(_visit(arguments.url, arguments.users, arguments.seconds))
    print(msgspec.json.encode(report).decode())
    return 1 if report.broken else 0


if __name__ == "__main__":
    sys.exit(main())
