"""A Secret that is wrong: the status tells what, and after the repair that all is well."""

from typing import Any, Final

from e2e.suite.crowd import shopping
from e2e.suite.stage import Stage
from e2e.suite.story import Stopwatch
from tests.operator.watching import eventually

NAMESPACE: Final = "mistaken"
WELL_SECONDS: Final = 300
"""The kubelet hands a changed Secret on within a minute or two."""


async def test_status_tells_of_a_wrong_secret_and_of_its_repair(moorline: Stage) -> None:
    async with moorline.namespace(NAMESPACE) as namespace:
        await namespace.open_store()
        right, cluster = namespace.manifest("sessioncluster")
        wrong: dict[str, Any] = {**right, "stringData": {"uri": "mongodb://nobody.invalid/"}}
        await namespace.apply(wrong, cluster, *namespace.manifest("shop"))
        told = await namespace.until_told("BackendReady", "NameNotResolved")
        assert "nobody.invalid" in told
        moorline.story.note(f"told: {told}")
        # A sidecar is ready without its backend, and so is the shop: who has no session can look.
        await namespace.rolled_out()
        before = await namespace.restarts()

        async def have_all_followed() -> bool:
            return None not in [await namespace.new_session(pod) for pod in before]

        watch = Stopwatch()
        await namespace.apply(right)
        await namespace.until_ready(seconds=WELL_SECONDS)
        moorline.story.note(f"told to be right {watch.seconds:.0f} s after the repair")
        await eventually(
            have_all_followed, lambda: "sidecars keep to the wrong Secret", WELL_SECONDS
        )
        moorline.story.note(f"every sidecar serves {watch.seconds:.0f} s after the repair")
        async with shopping(namespace, users=5):
            await namespace.until_ready()
        assert await namespace.restarts() == before
