"""The webhook's authority and certificate rotated during a scale-up: no pod is refused."""

import itertools
import secrets
from typing import Final

from moorline_operator.kube.kinds import SECRETS

from e2e.suite.crowd import shopping
from e2e.suite.namespace import REPLICAS, Namespace
from e2e.suite.stage import OPERATOR, Stage
from e2e.suite.story import Stopwatch
from tests.operator.installation import decoded
from tests.operator.watching import eventually

SECRET: Final = "moorline-webhook"
ROTATED_SECONDS: Final = 360


async def test_no_pod_is_refused_while_the_authority_is_rotated(
    shop: Namespace, moorline: Stage
) -> None:
    before = await _keys(moorline)
    refusals = await shop.refusals()
    sizes = itertools.cycle((REPLICAS + 1, REPLICAS))

    async def is_rotated() -> bool:
        # New pods all the while: each of them is an admission.
        await shop.scale(next(sizes))
        await shop.rolled_out()
        return all(old != new for old, new in zip(before, await _keys(moorline), strict=True))

    async with shopping(shop, users=10):
        watch = Stopwatch()
        token = f"moorline.io/rotate-now={secrets.token_hex(4)}"
        await moorline.operator.kubectl("annotate", "secret", SECRET, token, "--overwrite")
        await eventually(is_rotated, lambda: "the authority is not rotated", ROTATED_SECONDS)
        shop.story.note(f"rotated in {watch.seconds:.0f} s")
        # Admitted by the new one alone.
        for size in (REPLICAS, REPLICAS + 1):
            await shop.scale(size)
            await shop.rolled_out()
    assert not await shop.refusals() - refusals


async def _keys(moorline: Stage) -> tuple[bytes, bytes]:
    """The authority's, and the certificate that it has signed."""
    secret = decoded(await moorline.access.kube.get(SECRETS, OPERATOR, SECRET))
    return secret["ca.key"], secret["tls.crt"]
