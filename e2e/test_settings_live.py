"""Settings changed while it runs: every sidecar follows within two minutes, none is restarted."""

import asyncio
from typing import Final

from e2e.suite.namespace import Namespace
from e2e.suite.story import Stopwatch
from tests.operator.watching import eventually

FOLLOWED_SECONDS: Final = 120
"""What is promised, whatever the machine."""


async def test_sidecars_follow_their_settings(shop: Namespace) -> None:
    before = await shop.restarts()
    found: list[int] = []

    async def have_followed() -> bool:
        found[:] = await asyncio.gather(*(_max_idle(shop, pod) for pod in before))
        return set(found) == {17 * 60}

    try:
        await shop.patch({"sessions": {"maxIdle": "17m"}})
        watch = Stopwatch()
        await eventually(have_followed, lambda: f"they say {found}", FOLLOWED_SECONDS)
        shop.story.note(f"all of them followed within {watch.seconds:.0f} s")
    finally:
        await shop.patch({"sessions": None})
    assert await shop.restarts() == before


async def _max_idle(shop: Namespace, pod: str) -> int:
    session = await shop.new_session(pod)
    return session["maxIdleSeconds"] if session else 0
