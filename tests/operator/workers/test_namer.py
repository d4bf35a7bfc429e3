import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest
from moorline_operator import naming
from moorline_operator.errors import Forbidden, Invalid, KubeError, NotFound, Unavailable
from moorline_operator.kube.api import KubeObject
from moorline_operator.kube.kinds import LEASES, PODS, Kind
from moorline_operator.pods import record_of
from moorline_operator.workers.claims import lease_of
from moorline_operator.workers.numbering import REST_SECONDS

from tests.operator.workers.leader import NAMESPACE, Leader, Ready, gated_pod, stateful_pod
from tests.operator.workers.simulated_api import Hook, SimulatedApi, undisturbed

pytestmark = pytest.mark.looptime(noop_cycles=0)


class World:
    """An API server, SessionClusters, and leaders that come and go."""

    def __init__(self) -> None:
        self.api = SimulatedApi()
        self.clusters = Ready()
        self.leader = Leader(self.api, self.clusters)

    def lead(self) -> None:
        self.leader = Leader(self.api, self.clusters)
        self.leader.start()

    async def lead_on(self) -> None:
        """Another process takes over."""
        await self.leader.crash()
        self.lead()
        await asyncio.sleep(1)

    async def add(self, *pods: KubeObject) -> None:
        for pod in pods:
            self.api.put(PODS, pod)
        await asyncio.sleep(1)

    async def remove(self, pod: str) -> None:
        self.api.remove(PODS, NAMESPACE, pod)
        await asyncio.sleep(1)

    async def finish(self, pod: str) -> None:
        self.api.merge(PODS, NAMESPACE, pod, {"status": {"phase": "Succeeded"}})
        await asyncio.sleep(1)

    def pod(self, name: str) -> KubeObject:
        return self.api.objects[PODS.plural, NAMESPACE, name]

    def labels(self) -> dict[str, str]:
        """The worker name of each pod that has one."""
        return {
            pod["metadata"]["name"]: pod["metadata"]["labels"][naming.WORKER]
            for pod in self.api.of(PODS)
            if naming.WORKER in pod["metadata"]["labels"]
        }

    def leases(self) -> dict[str, str]:
        """The holder of each Lease."""
        return {
            lease["metadata"]["name"]: lease["spec"]["holderIdentity"]
            for lease in self.api.of(LEASES)
        }


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.leader.crash()


def failing(error: KubeError, *, verb: str, kind: Kind, times: int) -> Hook:
    """Raises the error for the first requests of that sort."""
    left = times

    async def hook(asked: str, of: Kind) -> None:
        nonlocal left
        if asked == verb and of is kind and left:
            left -= 1
            raise error

    return hook


def labelled_pod(name: str, worker: str) -> KubeObject:
    """A pod that was named before."""
    return gated_pod(name, gates=(), labels={naming.WORKER: worker})


async def test_a_gated_pod_gets_its_lease_then_its_label_and_may_be_scheduled(
    world: World,
) -> None:
    world.lead()
    await world.add(gated_pod("web-a", gates=("example.com/other", naming.GATE)))
    pod = world.pod("web-a")
    assert pod["metadata"]["labels"][naming.WORKER] == "node0"
    assert pod["spec"]["schedulingGates"] == [{"name": "example.com/other"}]
    (lease,) = world.api.of(LEASES)
    assert lease["metadata"]["name"] == "moorline-shop-node0"
    assert lease["metadata"]["labels"][naming.CLUSTER] == "shop"
    assert lease["spec"]["holderIdentity"] == pod["metadata"]["uid"]
    assert lease["metadata"]["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "Pod", "name": "web-a", "uid": pod["metadata"]["uid"]}
    ]


async def test_a_stateful_pod_has_its_ordinal_in_every_life(world: World) -> None:
    world.lead()
    await world.add(stateful_pod(2, uid="first"))
    assert world.labels() == {"db-2": "node2"}
    await world.remove("db-2")
    await world.add(stateful_pod(2, uid="second"))
    assert world.labels() == {"db-2": "node2"}
    assert world.leases() == {"moorline-shop-node2": "second"}


async def test_a_pod_waits_until_its_cluster_is_ready(world: World) -> None:
    world.clusters.ready = False
    world.lead()
    await world.add(gated_pod("web-a"), gated_pod("blog-a", cluster="blog"))
    assert world.labels() == {}
    assert world.leader.namer.waiting == 2
    world.clusters.ready = True
    world.leader.namer.cluster_changed(NAMESPACE, "shop")
    await asyncio.sleep(1)
    assert world.labels() == {"web-a": "node0"}


async def test_pods_of_two_clusters_count_by_themselves(world: World) -> None:
    world.lead()
    await world.add(gated_pod("web-a"), gated_pod("blog-a", cluster="blog"))
    assert world.labels() == {"web-a": "node0", "blog-a": "node0"}


async def test_a_name_is_reused_a_minute_after_its_pod_went(world: World) -> None:
    world.lead()
    await world.add(gated_pod("web-a"))
    await world.remove("web-a")
    world.api.collect_garbage()
    await world.add(gated_pod("web-b"))
    assert world.labels() == {"web-b": "node1"}
    await asyncio.sleep(REST_SECONDS)
    await world.add(gated_pod("web-c"))
    assert world.labels() == {"web-b": "node1", "web-c": "node0"}


async def test_a_name_whose_lease_was_not_collected_yet_is_taken_over(world: World) -> None:
    world.lead()
    await world.add(gated_pod("web-a"))
    await world.remove("web-a")
    await asyncio.sleep(REST_SECONDS)
    await world.add(gated_pod("web-b", uid="b"))
    assert world.labels() == {"web-b": "node0"}
    assert world.leases() == {"moorline-shop-node0": "b"}


async def test_the_lease_of_a_finished_pod_is_deleted(world: World) -> None:
    world.lead()
    await world.add(gated_pod("job-a"), gated_pod("job-b", uid="b"))
    await world.finish("job-a")
    assert world.leases() == {"moorline-shop-node1": "b"}


async def test_a_new_leader_deletes_the_leases_of_pods_that_finished_meanwhile(
    world: World,
) -> None:
    world.lead()
    await world.add(gated_pod("job-a"))
    await world.leader.crash()
    await world.finish("job-a")
    await world.lead_on()
    assert world.leases() == {}


async def test_a_pod_that_has_a_lease_but_no_label_gets_that_name(world: World) -> None:
    pod = gated_pod("web-a", uid="a")
    world.api.put(LEASES, lease_of(record_of(pod), "node7"))
    world.api.put(PODS, pod)
    await world.lead_on()
    assert world.labels() == {"web-a": "node7"}
    assert world.leases() == {"moorline-shop-node7": "a"}


async def test_a_lease_that_is_not_ours_is_left_alone(world: World) -> None:
    foreign = lease_of(record_of(gated_pod("web-a", uid="a")), "node0")
    foreign["metadata"] |= {"ownerReferences": [], "labels": {}}
    foreign["spec"] = {"holderIdentity": "somebody"}
    world.api.put(LEASES, foreign)
    world.lead()
    await world.add(gated_pod("web-a", uid="a"))
    assert world.labels() == {"web-a": "node1"}
    assert world.leases() == {"moorline-shop-node0": "somebody", "moorline-shop-node1": "a"}


async def test_a_lease_of_a_pod_that_got_another_name_is_taken_over(world: World) -> None:
    world.lead()
    world.api.put(LEASES, lease_of(record_of(labelled_pod("web-a", "node4")), "node0"))
    await world.add(labelled_pod("web-a", "node4"), gated_pod("web-b", uid="b"))
    assert world.labels()["web-b"] == "node0"
    assert world.leases()["moorline-shop-node0"] == "b"


async def test_a_lease_that_somebody_deleted_is_made_anew_by_the_next_leader(
    world: World,
) -> None:
    world.lead()
    await world.add(gated_pod("web-a", uid="a"))
    world.api.remove(LEASES, NAMESPACE, "moorline-shop-node0")
    await world.add(gated_pod("web-b", uid="b"))
    await world.lead_on()
    assert world.labels() == {"web-a": "node0", "web-b": "node1"}
    assert world.leases() == {"moorline-shop-node0": "a", "moorline-shop-node1": "b"}


async def test_pods_that_people_labelled_alike_are_counted_and_the_last_has_the_lease(
    world: World,
) -> None:
    world.lead()
    await world.add(labelled_pod("web-a", "node3"), labelled_pod("web-b", "node3"))
    assert world.leader.namer.duplicates == 1
    assert len(world.leases()) == 1
    await world.remove("web-a")
    assert world.leader.namer.duplicates == 0
    assert world.leases() == {"moorline-shop-node3": "uid-of-web-b"}


@pytest.mark.parametrize("worker", ["Node_3", "a.b", "a-b"])
async def test_a_label_that_can_be_no_name_is_left_as_it_is(world: World, worker: str) -> None:
    world.lead()
    await world.add(labelled_pod("web-a", worker))
    assert world.leases() == {}


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(Unavailable("create", "no answer"), id="unavailable"),
        pytest.param(Forbidden("create", "no"), id="forbidden"),
        pytest.param(NotFound("create", "no such namespace"), id="not-found"),
    ],
)
@pytest.mark.parametrize("is_applied", [False, True], ids=["not-applied", "applied"])
@pytest.mark.parametrize(("verb", "kind"), [("create", LEASES), ("patch", PODS)])
async def test_a_pod_is_named_in_the_end_whatever_failed(
    world: World, error: KubeError, verb: str, kind: Kind, *, is_applied: bool
) -> None:
    hook = failing(error, verb=verb, kind=kind, times=3)
    if is_applied:
        world.api.after = hook
    else:
        world.api.before = hook
    world.lead()
    await world.add(gated_pod("web-a", uid="a"))
    await asyncio.sleep(60)
    assert world.labels() == {"web-a": "node0"}
    assert world.leases() == {"moorline-shop-node0": "a"}


async def test_a_pod_that_is_refused_for_good_is_tried_ever_more_seldom(world: World) -> None:
    attempts: list[float] = []

    async def refuse(verb: str, kind: Kind) -> None:
        if verb == "patch" and kind is PODS:
            attempts.append(asyncio.get_running_loop().time())
            raise Invalid("patch", "an admission policy says no")

    world.api.before = refuse
    world.lead()
    await world.add(gated_pod("web-a"))
    await asyncio.sleep(600)
    pauses = [later - earlier for earlier, later in itertools.pairwise(attempts)]
    assert 20 < len(attempts) < 60
    assert max(pauses) <= 31
    world.api.before = undisturbed
    await asyncio.sleep(31)
    assert world.labels() == {"web-a": "node0"}


async def test_a_gate_that_moved_is_found_again(world: World) -> None:
    async def remove_the_other(verb: str, kind: Kind) -> None:
        if verb == "create" and kind is LEASES:
            spec = {"schedulingGates": [{"name": naming.GATE}]}
            world.api.merge(PODS, NAMESPACE, "web-a", {"spec": spec})

    world.api.after = remove_the_other
    world.lead()
    await world.add(gated_pod("web-a", gates=("example.com/other", naming.GATE)))
    assert world.labels() == {"web-a": "node0"}


@pytest.mark.parametrize("successor", [None, "another"], ids=["gone", "replaced"])
async def test_the_name_of_a_pod_that_goes_before_it_is_labelled_is_given_back(
    world: World, successor: str | None
) -> None:
    async def go(verb: str, kind: Kind) -> None:
        world.api.after = undisturbed
        assert (verb, kind) == ("create", LEASES)
        world.api.remove(PODS, NAMESPACE, "db-0")
        if successor is not None:
            world.api.put(PODS, stateful_pod(0, uid=successor))

    world.api.after = go
    world.lead()
    await world.add(stateful_pod(0, uid="first"))
    expected = {} if successor is None else {"moorline-shop-node0": successor}
    assert world.leases() == expected


async def test_a_pod_that_another_process_named_keeps_that_name(world: World) -> None:
    async def name_it(verb: str, kind: Kind) -> None:
        if (verb, kind) == ("create", LEASES):
            world.api.after = undisturbed
            pod = labelled_pod("web-a", "node9")
            world.api.put(LEASES, lease_of(record_of(pod), "node9"))
            world.api.merge(PODS, NAMESPACE, "web-a", pod)

    world.api.after = name_it
    world.lead()
    await world.add(gated_pod("web-a"))
    assert world.labels() == {"web-a": "node9"}
    assert world.leases() == {"moorline-shop-node9": "uid-of-web-a"}


async def test_a_pod_whose_gate_somebody_removed_is_left_without_a_name(world: World) -> None:
    async def remove_the_gate(_verb: str, _kind: Kind) -> None:
        world.api.after = undisturbed
        world.api.merge(PODS, NAMESPACE, "web-a", {"spec": {}})

    world.api.after = remove_the_gate
    world.lead()
    await world.add(gated_pod("web-a"))
    assert world.labels() == {}
    assert world.leases() == {}


async def test_the_time_from_seen_to_named_is_measured(world: World) -> None:
    world.clusters.ready = False
    world.lead()
    await world.add(gated_pod("web-a"))
    await asyncio.sleep(9)
    world.clusters.ready = True
    world.leader.namer.cluster_changed(NAMESPACE, "shop")
    await asyncio.sleep(1)
    assert world.leader.measured.seconds == [pytest.approx(10)]
    assert world.leader.namer.waiting == 0


async def test_a_mistake_in_the_requests_ends_the_leader(world: World) -> None:
    class Fault(Exception):
        pass

    async def fail(_verb: str, _kind: Kind) -> None:
        raise Fault

    world.api.before = fail
    leader = Leader(world.api, world.clusters)
    leader.namer.pod_seen(record_of(gated_pod("web-a")))
    with pytest.raises(ExceptionGroup):
        await leader.namer.run()


async def test_a_pod_that_moves_to_another_cluster_is_named_for_that(world: World) -> None:
    world.clusters.ready = False
    world.lead()
    await world.add(gated_pod("web-a"))
    moved = gated_pod("web-a", cluster="blog")
    world.leader.namer.pod_gone(record_of(gated_pod("web-a")))
    world.clusters.ready = True
    world.api.merge(PODS, NAMESPACE, "web-a", moved)
    await asyncio.sleep(1)
    assert set(world.leases()) == {"moorline-blog-node0"}
