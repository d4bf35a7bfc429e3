"""One SessionCluster that cannot be looked at keeps no other from it."""

import asyncio
from typing import Final

import pytest
from moorline_operator.errors import Forbidden, LeadershipLost, Unavailable
from moorline_operator.leading import look_after
from moorline_operator.picture import ClusterKey
from moorline_operator.reconcile import Outcome
from moorline_operator.workqueue import WorkQueue

pytestmark = pytest.mark.looptime

SICK: Final = ("web", "sick")
WELL: Final = ("web", "well")


class Looking:
    """One worker that looks at clusters; at `SICK` it finds what it is made with."""

    def __init__(self, found: Outcome | Exception) -> None:
        self.looks: list[ClusterKey] = []
        self.good: list[bool] = []
        self.queue: WorkQueue[ClusterKey] = WorkQueue(asyncio.get_running_loop().time)
        self._found = found

    async def __call__(self, seconds: float) -> None:
        """Look at both clusters, and go on for so long."""
        for key in (SICK, WELL):
            self.queue.add(key)
        looking = asyncio.create_task(look_after(self.queue, self._reconcile, self._note))
        await asyncio.wait({looking}, timeout=seconds)
        if looking.done():
            looking.result()
        looking.cancel()
        await asyncio.wait({looking})

    async def _reconcile(self, key: ClusterKey) -> Outcome:
        self.looks.append(key)
        if key == WELL:
            return Outcome()
        if isinstance(self._found, Exception):
            raise self._found
        return self._found

    def _note(self, seconds: float, *, is_good: bool) -> None:
        assert seconds >= 0
        self.good.append(is_good)


@pytest.mark.parametrize(
    "trouble",
    [
        ValueError("five fields"),
        Unavailable("apply", "no answer"),
        Outcome(refusal=Forbidden("create", "exceeded quota")),
    ],
    ids=["a mistake of ours", "no answer", "a refusal"],
)
async def test_trouble_with_one_cluster_is_tried_again_and_keeps_no_other_waiting(
    trouble: Outcome | Exception,
) -> None:
    looking = Looking(trouble)
    await looking(1.0)
    assert looking.looks == [SICK, WELL, SICK]
    assert looking.good == [False, True, False]


async def test_a_refusal_does_not_put_off_what_is_due_earlier() -> None:
    looking = Looking(Outcome(again=0.25, refusal=Forbidden("create", "exceeded quota")))
    await looking(0.6)
    assert looking.looks.count(SICK) == 3


async def test_lost_leadership_ends_everything() -> None:
    with pytest.raises(LeadershipLost):
        await Looking(LeadershipLost("another replica has the Lease"))(1.0)
