from typing import Any

from moorline_operator import naming
from moorline_operator.kube.kinds import CONFIG_MAPS, SESSION_CLUSTERS
from moorline_operator.picture import Picture, Pods
from moorline_operator.pods import PodRecord

from tests.operator.objects import a_pod

KEY = ("web", "shop")


def a_child(
    name: str,
    cluster: str | None = "shop",
    version: int = 1,
    **metadata: Any,  # noqa: ANN401 - JSON
) -> dict[str, Any]:
    labels = {} if cluster is None else {naming.SESSION_CLUSTER: cluster}
    named = {"name": name, "namespace": "web", "uid": f"uid-of-{name}", "labels": labels}
    return {"metadata": {**named, "resourceVersion": str(version), **metadata}}


def a_cluster(version: int = 1, uid: str = "uid-of-shop") -> dict[str, Any]:
    named = {"name": "shop", "namespace": "web", "uid": uid}
    return {"metadata": {**named, "resourceVersion": str(version)}}


def test_a_cluster_is_known_until_it_is_gone() -> None:
    picture = Picture()
    assert picture.see(SESSION_CLUSTERS, a_cluster()) == KEY
    assert picture.cluster(KEY) == a_cluster()
    assert list(picture.clusters()) == [KEY]
    assert picture.forget(SESSION_CLUSTERS, a_cluster()) == KEY
    assert picture.cluster(KEY) is None


def test_children_are_found_by_the_label_that_names_their_cluster() -> None:
    picture = Picture()
    assert picture.see(CONFIG_MAPS, a_child("shop-moorline")) == KEY
    assert picture.see(CONFIG_MAPS, a_child("somebody-elses", None)) is None
    assert list(picture.children(KEY)) == [(CONFIG_MAPS, "shop-moorline")]
    picture.forget(CONFIG_MAPS, a_child("shop-moorline"))
    assert not picture.children(KEY)


def test_forgetting_what_was_never_seen_is_nothing() -> None:
    picture = Picture()
    assert picture.forget(CONFIG_MAPS, a_child("shop-moorline")) == KEY
    assert picture.forget(SESSION_CLUSTERS, a_cluster()) == KEY


def test_what_arrives_late_changes_nothing() -> None:
    picture = Picture()
    picture.see(SESSION_CLUSTERS, a_cluster(9))
    picture.see(SESSION_CLUSTERS, a_cluster(10))
    picture.see(SESSION_CLUSTERS, a_cluster(9))
    assert picture.cluster(KEY) == a_cluster(10)
    picture.forget(SESSION_CLUSTERS, a_cluster(11))
    picture.see(SESSION_CLUSTERS, a_cluster(10))
    assert picture.cluster(KEY) is None


def test_the_end_of_one_object_is_not_that_of_the_next_with_its_name() -> None:
    picture = Picture()
    picture.see(SESSION_CLUSTERS, a_cluster(1, "first"))
    picture.see(SESSION_CLUSTERS, a_cluster(3, "second"))
    picture.forget(SESSION_CLUSTERS, a_cluster(2, "first"))
    assert picture.cluster(KEY) == a_cluster(3, "second")
    picture.see(SESSION_CLUSTERS, a_cluster(1, "first"))
    assert picture.cluster(KEY) == a_cluster(3, "second")


def test_a_child_that_lost_its_label_and_got_it_back_is_seen() -> None:
    picture = Picture()
    picture.see(CONFIG_MAPS, a_child("shop-moorline"))
    picture.forget(CONFIG_MAPS, a_child("shop-moorline", version=2))
    picture.see(CONFIG_MAPS, a_child("shop-moorline", version=3))
    assert list(picture.children(KEY)) == [(CONFIG_MAPS, "shop-moorline")]


def test_a_child_with_the_label_of_another_cluster_is_its_owners() -> None:
    owners = [{"kind": "SessionCluster", "name": "shop", "uid": "uid-of-shop"}]
    child = a_child("shop-moorline", "blog", ownerReferences=owners)
    assert Picture().see(CONFIG_MAPS, child) == KEY


def test_a_list_ends_what_it_does_not_have_but_nothing_that_came_since() -> None:
    picture = Picture()
    for name in ("kept", "gone", "changed", "ended"):
        picture.see(CONFIG_MAPS, a_child(name))
    before = picture.all(CONFIG_MAPS)
    # While the list is under way the watch tells of these.
    picture.see(CONFIG_MAPS, a_child("changed", version=7))
    picture.see(CONFIG_MAPS, a_child("new", version=8))
    picture.forget(CONFIG_MAPS, a_child("ended", version=9))
    listed = [a_child(name) for name in ("kept", "changed", "ended")]
    picture.replace(CONFIG_MAPS, before, listed)
    assert sorted(name for _, name in picture.children(KEY)) == ["changed", "kept", "new"]
    assert picture.children(KEY)[CONFIG_MAPS, "changed"] == a_child("changed", version=7)


class Told:
    def __init__(self) -> None:
        self.seen: list[str] = []
        self.gone: list[str] = []
        self.pods = Pods(self._see, self._lose)

    def _see(self, record: PodRecord) -> None:
        self.seen.append(record.name)

    def _lose(self, record: PodRecord) -> None:
        self.gone.append(record.name)


def test_a_pod_is_told_of_when_something_that_counts_changed() -> None:
    told = Told()
    told.pods.changed(a_pod("one"))
    told.pods.changed(a_pod("one", resourceVersion="2"))
    assert told.seen == ["one"]
    told.pods.changed(a_pod("one", status={"phase": "Failed"}))
    assert told.seen == ["one", "one"]
    assert [record.is_finished for record in told.pods.of(KEY)] == [True]


def test_a_pod_that_was_removed_is_gone_once() -> None:
    told = Told()
    told.pods.changed(a_pod("one"))
    told.pods.removed(a_pod("one"))
    told.pods.removed(a_pod("one"))
    assert told.gone == ["one"]
    assert list(told.pods.of(KEY)) == []


def test_what_a_new_list_does_not_have_is_gone() -> None:
    told = Told()
    for name in ("one", "two"):
        told.pods.changed(a_pod(name))
    told.pods.listed("", frozenset({"uid-of-two"}))
    assert told.gone == ["one"]
    assert len(told.pods) == 1


def test_a_pod_whose_label_names_another_cluster_now_has_left_the_first() -> None:
    told = Told()
    told.pods.changed(a_pod("one"))
    told.pods.changed(a_pod("one", cluster="blog"))
    assert told.gone == ["one"]
    assert list(told.pods.of(KEY)) == []
    assert [record.name for record in told.pods.of(("web", "blog"))] == ["one"]


def test_the_list_of_one_namespace_says_nothing_of_another() -> None:
    told = Told()
    told.pods.changed(a_pod("one"))
    told.pods.changed(a_pod("two", namespace="blog"))
    told.pods.listed("blog", frozenset())
    assert told.gone == ["two"]
    assert [record.name for record in told.pods.of(KEY)] == ["one"]
