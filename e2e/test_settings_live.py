"""Settings changed while it runs: every sidecar follows within two minutes, none is restarted."""

import asyncio
from typing import Final

from e2e.conftest import SHOP
from e2e.suite.stage import Stage, settings_of
from e2e.suite.story import Stopwatch
from tests.operator.watching import eventually

FOLLOWED_SECONDS: Final = 120


async def test_sidecars_follow_their_settings(shop: Stage) -> None:
    before = {pod["metadata"]["name"] for pod in await shop.pods(SHOP)}
    try:
        await _set(shop, "17m")
        watch = Stopwatch()
        found: list[int] = []

        async def have_followed() -> bool:
            found[:] = await asyncio.gather(*(_max_idle(shop, pod) for pod in before))
            return set(found) == {17 * 60}

        await eventually(have_followed, lambda: f"they say {found}", FOLLOWED_SECONDS)
        shop.story.note(f"all of them followed within {watch.seconds:.0f} s")
    finally:
        await _set(shop, "30m")
    assert before == {pod["metadata"]["name"] for pod in await shop.pods(SHOP)}


async def _set(shop: Stage, max_idle: str) -> None:
    patch = settings_of({"sessions": {"maxIdle": max_idle}})
    await shop.kubectl(
        "--namespace", SHOP, "patch", "scl", "shop", "--type=merge", "--patch", patch
    )


async def _max_idle(shop: Stage, pod: str) -> int:
    session = await shop.new_session(SHOP, pod)
    return session["maxIdleSeconds"] if session else 0
