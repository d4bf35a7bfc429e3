"""Many users of a shop at once, who remember what they were told and hold every page to it.

    python -m e2e.app.crowd http://10.96.1.2 --users 20 --seconds 60

Ends with 0 if every promise was kept. Errors are told, and are no broken promise: a user whose
click fails clicks again, with the same key, and it counts once.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from msgspec import Struct

from e2e.app.balancer import running_balancer
from e2e.app.browser import Browser, Visit
from e2e.app.pages import ITEMS, Shopfront

PATIENCE_SECONDS: Final = 60.0
TRUST_SECONDS: Final = 12.0
"""So long a worker may go on serving a session that ended elsewhere: `cache.maxTrust`, and some."""
PAUSE_SECONDS: Final = 0.25
"""At most, between a user's clicks, and before a click is tried again."""


class Report(Struct):
    """What all users saw."""

    clicks: int = 0
    logouts: int = 0
    slowest_ms: float = 0.0
    failures: list[str] = []
    broken: list[str] = []
    served: Counter[str] = Counter()


class User:
    """One of them; `name` is how it logs in."""

    def __init__(self, name: str, browser: Browser, report: Report) -> None:
        self._name = name
        self._browser = browser
        self._report = report
        self._cart: Counter[str] = Counter()
        self._is_logged_in = False
        self._key = ""
        self._old_cookies: list[tuple[float, str]] = []

    async def live(self, shop_url: str, until: float) -> None:
        """Click until the time (of `time.monotonic`) has come, and look a last time."""
        await self._look()
        while time.monotonic() < until:
            await random.choices(  # noqa: S311 - no secret
                (self._add, self._look, self._log_in, self._log_out), (60, 25, 10, 5)
            )[0]()
            await asyncio.sleep(random.uniform(0, PAUSE_SECONDS))  # noqa: S311 - no secret
        await self._look()
        now = time.monotonic()
        for ended, cookie in self._old_cookies:
            if now - ended < TRUST_SECONDS:
                continue
            async with Browser(shop_url, cookie) as thief:
                page = (await thief.look()).page
                self._hold(page is None or page.user is None, "who logged out is in again")

    async def _look(self) -> None:
        self._check(await self._until_answered("looks", self._browser.look))

    async def _add(self) -> None:
        item = random.choice(ITEMS)  # noqa: S311 - no secret
        form = {"item": item, "key": self._key}
        self._cart[item] += 1
        self._check(await self._until_answered("adds", lambda: self._browser.press("cart", form)))

    async def _log_in(self) -> None:
        self._is_logged_in = True
        form = {"user": self._name}
        self._check(
            await self._until_answered("logs in", lambda: self._browser.press("login", form))
        )

    async def _log_out(self) -> None:
        if not self._cart or not self._is_logged_in:
            return
        self._old_cookies.append((time.monotonic(), self._browser.cookie))
        self._is_logged_in = False
        self._cart.clear()
        self._report.logouts += 1
        self._check(await self._until_answered("logs out", lambda: self._browser.press("logout")))

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
            self._report.failures.append(
                f"{time.strftime('%H:%M:%S')} {self._name} {what}: {visit.statuses or 'no answer'}"
                f" from {', '.join(visit.pods) or 'nobody'} after {visit.ms:.0f} ms"
            )
            if time.monotonic() > deadline:
                self._hold(is_kept=False, what=f"{what}: no answer in {PATIENCE_SECONDS:.0f} s")
                return None
            await asyncio.sleep(PAUSE_SECONDS)

    def _check(self, page: Shopfront | None) -> None:
        if page is None:
            return
        self._key = page.key
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
            self._report.broken.append(f"{time.strftime('%H:%M:%S')} {self._name}: {what}")


async def visit(shop_url: str, users: int, seconds: float) -> Report:
    """Let so many users shop for so long."""
    report = Report(failures=[], broken=[], served=Counter())
    until = time.monotonic() + seconds
    async with running_balancer([shop_url]) as url:

        async def one(number: int) -> None:
            async with Browser(url) as browser:
                try:
                    await User(f"user{number}", browser, report).live(url, until)
                finally:
                    report.served.update(browser.served)

        async with asyncio.TaskGroup() as tasks:
            for number in range(users):
                tasks.create_task(one(number))
    return report


def main() -> int:
    """Tell what they saw."""
    parser = argparse.ArgumentParser(prog="python -m e2e.app.crowd", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    report = asyncio.run(visit(arguments.url, arguments.users, arguments.seconds))
    for line in (*report.failures[:20], *(f"BROKEN {line}" for line in report.broken[:20])):
        print(line)
    print(
        f"{arguments.users} users, {report.clicks} clicks, {sum(report.served.values())} requests"
        f" ({', '.join(f'{count} by {pod}' for pod, count in sorted(report.served.items()))});"
        f" {len(report.failures)} errors, slowest {report.slowest_ms:.0f} ms,"
        f" {report.logouts} logouts, {len(report.broken)} promises broken"
    )
    return 1 if report.broken else 0


if __name__ == "__main__":
    sys.exit(main())
