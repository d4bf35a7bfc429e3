"""A Secret that is wrong: the status tells what, and after the repair that all is well."""

from typing import Any, Final

from e2e.suite.crowd import errors_of
from e2e.suite.stage import Stage
from e2e.suite.story import Stopwatch
from tests.operator.watching import eventually, until_reason

NAMESPACE: Final = "mistaken"


async def test_status_tells_of_a_wrong_secret_and_of_its_repair(moorline: Stage) -> None:
    async with moorline.namespace(NAMESPACE):
        await moorline.open_store(NAMESPACE)
        right, cluster = moorline.manifest("sessioncluster")
        wrong: dict[str, Any] = {**right, "stringData": {"uri": "mongodb://nobody.invalid/"}}
        service, shop = moorline.manifest("shop")
        await moorline.commands.apply(NAMESPACE, wrong, cluster, service, shop)
        told = await until_reason(
            moorline.kube, NAMESPACE, "shop", "BackendReady", "NameNotResolved"
        )
        assert "nobody.invalid" in told["message"]
        moorline.story.note(f"told: {told['message']}")
        # A sidecar is ready without its backend, and so is the shop: who has no session can look.
        await moorline.rolled_out(NAMESPACE, "shop")

        watch = Stopwatch()
        await moorline.commands.apply(NAMESPACE, right)

        async def is_well() -> bool:
            cluster = await moorline.kubectl(
                *("--namespace", NAMESPACE, "get", "scl", "shop"),
                "--output=jsonpath={.status.conditions[?(@.type=='Ready')].status}",
            )
            return cluster == "True"

        await eventually(is_well, lambda: "it does not become ready after the repair", 240)
        moorline.story.note(f"told to be right {watch.seconds:.0f} s after the repair")

        async def have_all_followed() -> bool:
            pods = [pod["metadata"]["name"] for pod in await moorline.pods(NAMESPACE)]
            made = [await moorline.new_session(NAMESPACE, pod) for pod in pods]
            return None not in made

        # The kubelet hands a changed Secret on within a minute or two.
        await eventually(have_all_followed, lambda: "sidecars keep to the wrong Secret", 180)
        moorline.story.note(
            f"every sidecar serves {watch.seconds:.0f} s after the repair, without a restart"
        )
        async with moorline.crowd(NAMESPACE, users=5):
            await moorline.until_ready(NAMESPACE)
    assert errors_of(moorline.story.row.seen) == []
