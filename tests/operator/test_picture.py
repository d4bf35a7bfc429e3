from typing import Any

from moorline_operator import naming
from moorline_operator.kube.kinds import CONFIG_MAPS, SESSION_CLUSTERS
from moorline_operator.picture import Picture, Pods
from moorline_operator.pods import PodRecord

from tests.operator.objects import a_pod

KEY = ("web", "shop")


def a_child(name: str, cluster: str | None = "shop") -> dict[str, Any]:
    labels = {} if cluster is None else {naming.SESSION_CLUSTER: cluster}
    return {"metadata": {"name": name, "namespace": "web", "labels": labels}}


def a_cluster() -> dict[str, Any]:
    return {"metadata": {"name": "shop", "namespace": "web"}}


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
    told.pods.listed(frozenset({"uid-of-two"}))
    assert told.gone == ["one"]
    assert len(told.pods) == 1


def test_a_pod_whose_label_names_another_cluster_now_has_left_the_first() -> None:
    told = Told()
    told.pods.changed(a_pod("one"))
    told.pods.changed(a_pod("one", cluster="blog"))
    assert told.gone == ["one"]
    assert list(told.pods.of(KEY)) == []
    assert [record.name for record in told.pods.of(("web", "blog"))] == ["one"]
