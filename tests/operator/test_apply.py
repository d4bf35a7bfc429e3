from typing import Any

import pytest
from moorline_operator.apply import Applier, Refusals
from moorline_operator.desired import Child
from moorline_operator.errors import Conflict, Forbidden, NamespaceEnding, NotFound, Unavailable
from moorline_operator.kube.api import KubeObject
from moorline_operator.kube.kinds import CONFIG_MAPS, JOBS, NETWORK_POLICIES, POD_MONITORS, Kind

OWNER = "uid-of-shop"


class ApiServer:
    """Counts up a version with each write."""

    def __init__(self) -> None:
        self.applied: list[str] = []
        self.deleted: list[str] = []
        self.refuses = False

    async def apply(self, kind: Kind, obj: KubeObject) -> KubeObject:
        self.applied.append(f"{kind.name} {obj['metadata']['name']}")
        return there(obj, str(len(self.applied)))

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str = "") -> None:
        self.deleted.append(f"{kind.name} {namespace}/{name} {uid}")
        if self.refuses:
            raise Conflict("delete", "it is another one")


def a_child(kind: Kind = CONFIG_MAPS, name: str = "shop-moorline", **data: Any) -> Child:  # noqa: ANN401 - a body
    metadata = {
        "namespace": "web",
        "name": name,
        "ownerReferences": [{"kind": "SessionCluster", "name": "shop", "uid": OWNER}],
    }
    return Child(kind, {"metadata": metadata, "data": data})


def there(obj: KubeObject, version: str) -> KubeObject:
    """The object as a watch brings it."""
    return {
        **obj,
        "metadata": {**obj["metadata"], "uid": "u", "resourceVersion": version},
    }


async def test_what_is_as_it_was_applied_is_not_written_again() -> None:
    api = ApiServer()
    applier = Applier(api)
    answer = await applier.apply(a_child(a=1), None)
    assert answer is not None
    assert await applier.apply(a_child(a=1), answer) is None
    assert api.applied == ["ConfigMap shop-moorline"]


async def test_a_change_on_either_side_is_written() -> None:
    api = ApiServer()
    applier = Applier(api)
    answer = await applier.apply(a_child(a=1), None)
    assert answer is not None
    assert await applier.apply(a_child(a=2), answer) is not None
    by_hand = there(a_child(a=3).obj, "17")
    assert await applier.apply(a_child(a=2), by_hand) is not None
    assert await applier.apply(a_child(a=2), None) is not None
    assert len(api.applied) == 4


async def test_children_that_are_no_longer_wanted_are_deleted_and_no_others() -> None:
    api = ApiServer()
    wanted = [a_child()]
    others = [a_child(NETWORK_POLICIES, "old"), a_child(JOBS, "shop-moorline-check-1")]
    somebody_elses = there(a_child(NETWORK_POLICIES, "theirs").obj, "1")
    somebody_elses["metadata"]["ownerReferences"] = []
    seen = {
        (child.kind, child.obj["metadata"]["name"]): there(child.obj, "1")
        for child in (*wanted, *others)
    }
    seen[NETWORK_POLICIES, "theirs"] = somebody_elses
    await Applier(api).remove_others(OWNER, wanted, seen)
    assert api.deleted == ["NetworkPolicy web/old u"]


async def test_who_was_faster_in_deleting_is_no_trouble() -> None:
    api = ApiServer()
    api.refuses = True
    await Applier(api).remove(CONFIG_MAPS, there(a_child().obj, "1"))
    assert len(api.deleted) == 1


def refuse(refusals: Refusals, kind: Kind, error: Exception) -> None:
    """A write that fails so."""
    with refusals.of(kind):
        raise error


def test_the_first_refusal_is_told_of_and_what_follows_goes_on() -> None:
    refusals = Refusals()
    first = Forbidden("create", "exceeded quota")
    for error in (first, NotFound("create", "no such thing")):
        refuse(refusals, JOBS, error)
    assert refusals.first is first


def test_a_missing_pod_monitor_is_told_of_with_what_to_do() -> None:
    refusals = Refusals()
    refuse(refusals, POD_MONITORS, NotFound("apply", "404 page not found"))
    assert refusals.first is not None
    assert "podMonitor: false" in refusals.first.detail


@pytest.mark.parametrize(
    "error",
    [NamespaceEnding("create", "it is ending"), Unavailable("create", "no answer")],
    ids=["the namespace ends", "the API server is away"],
)
def test_what_no_person_can_repair_is_no_refusal(error: Exception) -> None:
    refusals = Refusals()
    with pytest.raises(type(error)):
        refuse(refusals, JOBS, error)
    assert refusals.first is None
