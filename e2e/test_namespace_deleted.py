"""A namespace deleted with its SessionCluster and pods in use: nothing hangs."""

from typing import Final

from e2e.suite.stage import Stage
from e2e.suite.story import Stopwatch

NAMESPACE: Final = "deleted"


async def test_a_namespace_goes_with_all_that_is_in_it(moorline: Stage) -> None:
    async with moorline.namespace(NAMESPACE) as namespace:
        await namespace.open_shop()
        for pod in await namespace.pod_names():
            assert await namespace.new_session(pod) is not None
        watch = Stopwatch()
        # Kubernetes lets it go when nothing is in it any more.
        await namespace.delete()
        moorline.story.note(f"gone within {watch.seconds:.0f} s")
