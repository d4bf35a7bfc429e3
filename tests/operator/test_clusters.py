from typing import Any

import pytest
from moorline_operator.clusters import Clusters
from moorline_operator.errors import NotFound, Unavailable
from moorline_operator.kube.api import KubeObject
from moorline_operator.kube.kinds import Kind
from structlog.testing import capture_logs

from tests.operator.workloads import a_session_cluster


class ApiServer:
    """Has one SessionCluster, or fails."""

    def __init__(self) -> None:
        self.cluster: KubeObject | None = None
        self.is_away = False

    async def get(self, kind: Kind, namespace: str, name: str) -> KubeObject:
        if self.is_away:
            raise Unavailable("get", "no answer")
        if self.cluster is None:
            raise NotFound("get", f"no {kind.name} {namespace}/{name}")
        return self.cluster


def seen(uid: str = "1", name: str = "shop", **spec: Any) -> KubeObject:  # noqa: ANN401 - a spec
    return a_session_cluster("web", name, spec, uid=uid, generation=1)


def clusters() -> Clusters:
    return Clusters(ApiServer())


def test_what_the_watch_told_of_is_known_until_it_is_gone() -> None:
    known = clusters()
    known.changed(seen())
    found = known.known("web", "shop")
    assert found is not None
    assert found.uid == "1"
    assert known.known("other", "shop") is None
    known.removed(seen())
    assert known.known("web", "shop") is None
    assert len(known) == 0


def test_one_without_a_spec_is_one_that_cannot_be_read() -> None:
    known = clusters()
    without = seen()
    del without["spec"]
    known.changed(without)
    assert known.known("web", "shop") is None


def test_a_cluster_of_the_same_name_outlives_the_end_of_the_one_before() -> None:
    known = clusters()
    known.changed(seen("1"))
    known.changed(seen("2"))
    known.removed(seen("1"))
    found = known.known("web", "shop")
    assert found is not None
    assert found.uid == "2"


def test_what_a_new_list_does_not_have_is_gone() -> None:
    known = clusters()
    known.changed(seen("1"))
    known.changed(seen("2", "blog"))
    known.listed("", frozenset({"2"}))
    assert known.known("web", "shop") is None
    assert known.known("web", "blog") is not None


def test_a_spec_that_cannot_be_read_is_unknown_and_named_in_the_log() -> None:
    known = clusters()
    known.changed(seen())
    with capture_logs() as logs:
        known.changed(seen(backend={"type": "Memory"}, cache={"mode": "Quantum"}))
    assert known.known("web", "shop") is None
    assert logs[0]["cluster"] == "shop"
    assert "spec.cache.mode" in logs[0]["reason"]


def test_the_list_of_one_namespace_says_nothing_of_another() -> None:
    known = clusters()
    known.changed(seen("1"))
    known.listed("other", frozenset())
    assert known.known("web", "shop") is not None
    known.listed("web", frozenset())
    assert known.known("web", "shop") is None


async def test_one_that_is_too_new_is_looked_up() -> None:
    api = ApiServer()
    known = Clusters(api)
    assert await known.look_up("web", "shop") is None
    api.cluster = seen()
    found = await known.look_up("web", "shop")
    assert found is not None
    api.is_away = True
    with pytest.raises(Unavailable):
        await known.look_up("web", "shop")
