"""What users do with a session: work in several tabs, log in and out, race, wait too long."""

from __future__ import annotations

import asyncio
from typing import Final

from tests.faults.history import Kind
from tests.faults.users import Browser, Listener, Town

TABS_MAX: Final = 3
SHORT_IDLE_SECONDS: Final = 6
LONG_IDLE_SECONDS: Final = 60

WEIGHTS: Final[dict[Kind, int]] = {
    Kind.READ: 45,
    Kind.PEEK: 4,
    Kind.TOUCH: 8,
    Kind.CHANGE: 14,
    Kind.INCREMENT: 12,
    Kind.GUARDED: 6,
    Kind.RENEW: 3,
    Kind.END: 1,
    Kind.ADOPT: 2,
}
HINTLESS: Final = 0.15
"""Of the calls, those that carry no hint."""


async def live(town: Town, is_done: Listener) -> None:
    """One session after the other, until the end; `is_done` is told of each."""
    while not town.stop.is_set():
        idle = SHORT_IDLE_SECONDS if town.chance.random() < 0.4 else LONG_IDLE_SECONDS
        browser = Browser(town, idle)
        if not await browser.create():
            await town.think(1)
            continue
        await _work(town, browser)
        await _leave(town, browser, idle)
        is_done(browser)


async def revisit(town: Town, browser: Browser) -> None:
    """Somebody comes back much later, perhaps with an id from before a login."""
    place = town.chance.randrange(len(browser.ids))
    kind = town.chance.choice([Kind.READ, Kind.TOUCH, Kind.CHANGE, Kind.INCREMENT, Kind.PEEK])
    await browser.step(kind, place=place, with_hint=town.chance.random() < 0.5)


async def _work(town: Town, browser: Browser) -> None:
    steps = town.chance.randint(3, town.steps_max)
    async with asyncio.TaskGroup() as tabs:
        for _ in range(town.chance.randint(1, TABS_MAX)):
            tabs.create_task(_use_tab(town, browser, steps))


async def _use_tab(town: Town, browser: Browser, steps: int) -> None:
    for _ in range(steps):
        await town.think()
        if browser.is_over or town.stop.is_set():
            return
        await _act(town, browser)


async def _act(town: Town, browser: Browser) -> None:
    chance = town.chance
    old = len(browser.ids) - 2
    if old >= 0 and chance.random() < 0.15:
        # A slow request of before the login, or whoever planted that id.
        if chance.random() < 0.2:
            await browser.adopt(old)
        else:
            kind = chance.choice([Kind.READ, Kind.READ, Kind.TOUCH, Kind.CHANGE])
            await browser.step(kind, place=old, with_hint=False)
        return
    kind = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    if kind is Kind.ADOPT:
        await browser.adopt(None)
    else:
        await browser.step(kind, with_hint=chance.random() >= HINTLESS)


async def _leave(town: Town, browser: Browser, idle: int) -> None:
    """The end that a user makes, and what comes late."""
    chance = town.chance
    if idle == SHORT_IDLE_SECONDS and not browser.is_over and chance.random() < 0.7:
        # Anything between too early and too late.
        await town.think(idle * chance.uniform(0.7, 2.3))
        await browser.step(Kind.READ, with_hint=chance.random() < 0.5)
    if not browser.is_over and chance.random() < 0.8:
        await _race(town, browser)
    for _ in range(2):
        await browser.step(chance.choice([Kind.READ, Kind.CHANGE, Kind.TOUCH]))


async def _race(town: Town, browser: Browser) -> None:
    """A logout among slow requests that other workers have yet to finish."""
    kinds = [Kind.END, Kind.CHANGE, Kind.READ, Kind.TOUCH, Kind.INCREMENT, Kind.RENEW]
    late = town.chance.sample(kinds[1:], town.chance.randint(1, 4))
    async with asyncio.TaskGroup() as calls:
        for kind in [*late, Kind.END]:
            calls.create_task(_soon(town, browser, kind))


async def _soon(town: Town, browser: Browser, kind: Kind) -> None:
    await asyncio.sleep(town.chance.uniform(0, 0.03))
    await browser.step(kind)
