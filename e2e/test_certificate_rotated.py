"""The webhook's authority and certificate rotated during a scale-up: no pod is refused."""

from typing import Final

from moorline_operator.kube.kinds import EVENTS, SECRETS

from e2e.conftest import SHOP
from e2e.suite.crowd import errors_of
from e2e.suite.stage import OPERATOR, Stage
from e2e.suite.story import Stopwatch
from tests.operator.installation import decoded
from tests.operator.watching import eventually, everything

SECRET: Final = "moorline-webhook"
ROTATED_SECONDS: Final = 240


async def test_no_pod_is_refused_while_the_authority_is_rotated(shop: Stage) -> None:
    before = decoded(await shop.kube.get(SECRETS, OPERATOR, SECRET))
    refused = len(await _refusals(shop))
    try:
        async with shop.crowd(SHOP, users=10):
            watch = Stopwatch()
            await shop.kubectl(
                *("--namespace", OPERATOR, "annotate", "secret", SECRET, "--overwrite"),
                f"moorline.io/rotate-now={id(watch)}",
            )
            sizes = [4, 3]

            async def is_rotated() -> bool:
                # New pods all the while: each of them is an admission.
                size = sizes[0]
                sizes.reverse()
                await shop.scale(SHOP, "shop", size)
                await shop.rolled_out(SHOP, "shop")
                now = decoded(await shop.kube.get(SECRETS, OPERATOR, SECRET))
                return now["ca.key"] != before["ca.key"] and now["tls.crt"] != before["tls.crt"]

            await eventually(is_rotated, lambda: "the authority is not rotated", ROTATED_SECONDS)
            shop.story.note(f"rotated in {watch.seconds:.0f} s")
            await shop.scale(SHOP, "shop", 4)
            await shop.rolled_out(SHOP, "shop")
    finally:
        await shop.scale(SHOP, "shop", 3)
    assert len(await _refusals(shop)) == refused
    assert errors_of(shop.story.row.seen) == []


async def _refusals(shop: Stage) -> list[str]:
    events = await everything(shop.kube, EVENTS, SHOP)
    return [event.get("note", "") for event in events if event.get("reason") == "FailedCreate"]
