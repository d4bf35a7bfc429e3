"""Whatever fails, and wherever leaders end, names are unique and every pod gets one."""

import asyncio
import itertools
import random
from collections.abc import Callable, Coroutine
from typing import Any, Final

import hypothesis.strategies as st
import looptime
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from moorline_operator.errors import Unavailable
from moorline_operator.kube.api import KubeObject
from moorline_operator.kube.kinds import LEASES, PODS, Kind

from tests.operator.workers.leader import NAMESPACE, Leader, Ready, gated_pod, stateful_pod
from tests.operator.workers.referee import Referee
from tests.operator.workers.simulated_api import SimulatedApi, undisturbed

EXAMPLES: Final = settings().max_examples * 4 // 10

HEALED_SECONDS: Final = 200.0
"""More than the longest pause between two attempts, and the rest of a freed name."""

PICKS = st.integers(0, 30)
CLUSTERS = st.sampled_from(["shop", "blog"])


class Disturbance:
    """Requests take their time, and some get no answer: not applied, or applied."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.failing = 0.0

    async def __call__(self, _verb: str, _kind: Kind) -> None:
        await asyncio.sleep(self._random.choice([0, 0, 0.001, 0.005, 0.02]))
        if self._random.random() < self.failing:
            raise Unavailable("simulated", "no answer")


class Naming(RuleBasedStateMachine):
    """Pods come and go while leaders are killed; old leaders may go on beside new ones."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = looptime.new_event_loop(noop_cycles=0)
        self.serial = itertools.count()
        self.leaders: list[Leader] = []

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.api = SimulatedApi()
        self.clusters = Ready()
        self.referee = Referee(self.api)
        self.disturbance = Disturbance(seed)
        self.api.before = self.api.after = self.disturbance
        self.run(self.lead())

    def run(self, doing: Coroutine[Any, Any, None]) -> None:
        self.loop.run_until_complete(doing)

    async def lead(self) -> None:
        leader = Leader(self.api, self.clusters, lag=0.01)
        leader.start()
        self.leaders.append(leader)

    @rule(count=st.integers(1, 4), cluster=CLUSTERS)
    def pods_are_made(self, count: int, cluster: str) -> None:
        for _ in range(count):
            serial = next(self.serial)
            self.put(gated_pod(f"web-{serial}", uid=f"u{serial}", cluster=cluster))

    @rule(ordinal=st.integers(0, 3), cluster=CLUSTERS)
    def a_stateful_pod_is_made(self, ordinal: int, cluster: str) -> None:
        if not any(pod.name == f"db-{ordinal}" for pod in self.referee.pods()):
            self.put(stateful_pod(ordinal, uid=f"u{next(self.serial)}", cluster=cluster))

    @rule(pick=PICKS)
    def a_pod_is_deleted(self, pick: int) -> None:
        if name := self.picked(pick):
            self.at_once(lambda: self.api.remove(PODS, NAMESPACE, name))

    @rule(pick=PICKS)
    def a_pod_finishes(self, pick: int) -> None:
        if name := self.picked(pick):
            status = {"status": {"phase": "Failed"}}
            self.at_once(lambda: self.api.merge(PODS, NAMESPACE, name, status))

    @rule()
    def garbage_is_collected(self) -> None:
        self.at_once(self.api.collect_garbage)

    @rule(pick=PICKS)
    def somebody_deletes_a_lease(self, pick: int) -> None:
        leases = sorted(self.referee.leases())
        if leases:
            name = leases[pick % len(leases)]
            self.referee.orphaned.add(name)
            self.at_once(lambda: self.api.remove(LEASES, NAMESPACE, name))

    @rule(ready=st.booleans())
    def clusters_become_ready_or_not(self, *, ready: bool) -> None:
        self.clusters.ready = ready
        self.at_once(self.announce)

    @rule(share=st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    def requests_fail(self, share: float) -> None:
        self.disturbance.failing = share

    @rule(seconds=st.sampled_from([0.0, 0.001, 0.004, 0.01, 0.03, 0.2, 5.0, 70.0]))
    def time_passes(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    @rule()
    def the_leader_is_killed_and_another_one_leads(self) -> None:
        self.run(self.leaders.pop().crash())
        self.run(self.lead())

    @rule()
    def another_one_leads_before_the_old_one_ends(self) -> None:
        self.run(self.lead())

    @rule(pick=PICKS)
    def an_old_leader_ends(self, pick: int) -> None:
        if len(self.leaders) > 1:
            self.run(self.leaders.pop(pick % (len(self.leaders) - 1)).crash())

    @invariant()
    def nothing_was_wrong_at_any_moment(self) -> None:
        if hasattr(self, "referee"):
            assert not self.referee.faults

    def teardown(self) -> None:
        try:
            if hasattr(self, "referee"):
                self.run(self.heal())
                self.nothing_was_wrong_at_any_moment()
                self.check_the_end()
        finally:
            for leader in self.leaders:
                self.run(leader.crash())
            self.loop.close()

    async def heal(self) -> None:
        self.api.before = self.api.after = undisturbed
        self.clusters.ready = True
        for leader in self.leaders:
            await leader.crash()
        self.leaders.clear()
        await self.lead()
        await asyncio.sleep(HEALED_SECONDS)
        self.api.collect_garbage()
        await asyncio.sleep(1)

    def check_the_end(self) -> None:
        leases = self.referee.leases()
        live = [pod for pod in self.referee.pods() if pod.is_live]
        assert not [pod.name for pod in live if pod.wants_name], "they wait for ever"
        for pod in live:
            assert leases[f"moorline-{pod.cluster}-{pod.worker}"] == pod.uid
        assert set(leases.values()) <= {pod.uid for pod in live}, "Leases of pods that ended"

    def put(self, pod: KubeObject) -> None:
        self.at_once(lambda: self.api.put(PODS, pod))

    def picked(self, pick: int) -> str | None:
        names = [pod.name for pod in self.referee.pods()]
        return names[pick % len(names)] if names else None

    def announce(self) -> None:
        for leader in self.leaders:
            for cluster in ("shop", "blog"):
                leader.namer.cluster_changed(NAMESPACE, cluster)

    def at_once(self, change: Callable[[], object]) -> None:
        async def changed() -> None:
            change()

        self.run(changed())


TestNaming = pytest.mark.timeout(120 + EXAMPLES)(Naming.TestCase)
TestNaming.settings = settings(max_examples=EXAMPLES, stateful_step_count=40)
