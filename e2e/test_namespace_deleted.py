"""A namespace deleted with its SessionCluster and pods in use: nothing hangs, nothing stays."""

from typing import Final

from moorline_operator.kube.kinds import LEASES

from e2e.suite.stage import Stage
from e2e.suite.story import Stopwatch
from tests.operator.watching import everything

NAMESPACE: Final = "deleted"
GONE_SECONDS: Final = 120


async def test_a_namespace_goes_with_all_that_is_in_it(moorline: Stage) -> None:
    async with moorline.namespace(NAMESPACE):
        await moorline.open_shop(NAMESPACE)
        watch = Stopwatch()
        await moorline.kubectl("delete", "namespace", NAMESPACE, seconds=GONE_SECONDS)
        moorline.story.note(f"gone within {watch.seconds:.0f} s")
        assert await everything(moorline.kube, LEASES, NAMESPACE) == []
