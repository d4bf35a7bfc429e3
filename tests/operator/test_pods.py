from typing import Any

import msgspec
import pytest
from moorline_operator import naming
from moorline_operator.pods import PodShape, record_of

from tests.operator.objects import a_pod, owned_by

GATE = {"schedulingGates": [{"name": "other.io/gate"}, {"name": naming.GATE}]}
SIDECAR = {"initContainers": [{"name": "istio-proxy"}, {"name": naming.CONTAINER}]}


def ready(*, sidecar: bool | None = None, pod: bool = False) -> dict[str, Any]:
    status: dict[str, Any] = {"conditions": [{"type": "Ready", "status": str(pod)}]}
    if sidecar is not None:
        status["initContainerStatuses"] = [{"name": naming.CONTAINER, "ready": sidecar}]
    return status


def test_a_bare_pod_has_neither_sidecar_nor_name_nor_owner() -> None:
    record = record_of(a_pod())
    assert (record.cluster, record.worker, record.injected) == ("shop", "", "")
    assert (record.gate, record.owner, record.ordinal) == (None, None, None)
    assert not record.has_sidecar
    assert record.is_live
    assert not record.wants_name


def test_a_gated_pod_wants_a_name_and_tells_where_its_gate_is() -> None:
    record = record_of(a_pod(spec={**GATE, **SIDECAR}))
    assert record.gate == 1
    assert record.has_sidecar
    assert record.wants_name


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(a_pod(spec=GATE, status={"phase": "Failed"}), id="failed"),
        pytest.param(a_pod(spec=GATE, status={"phase": "Succeeded"}), id="succeeded"),
        pytest.param(a_pod(spec=GATE, deletionTimestamp="2026-11-22T08:00:00Z"), id="deleting"),
    ],
)
def test_a_pod_that_will_not_run_wants_no_name(pod: dict[str, Any]) -> None:
    assert not record_of(pod).wants_name


@pytest.mark.parametrize(
    ("owner", "labels", "expected"),
    [
        pytest.param(
            ("ReplicaSet", "web-5d4f"),
            {"pod-template-hash": "5d4f"},
            ("Deployment", "web"),
            id="deployment",
        ),
        pytest.param(("ReplicaSet", "web"), {}, ("ReplicaSet", "web"), id="replica-set"),
        pytest.param(("StatefulSet", "db"), {}, ("StatefulSet", "db"), id="stateful-set"),
        pytest.param(("Job", "load"), {}, ("Job", "load"), id="job"),
    ],
)
def test_the_owner_is_what_a_person_restarts(
    owner: tuple[str, str], labels: dict[str, str], expected: tuple[str, str]
) -> None:
    pod = a_pod(labels=labels, ownerReferences=owned_by(*owner))
    assert record_of(pod).owner == expected


@pytest.mark.parametrize(
    ("name", "owner", "ordinal"),
    [
        pytest.param("db-12", ("StatefulSet", "db"), 12, id="stateful-set"),
        pytest.param("db-12", ("ReplicaSet", "db"), None, id="replica-set"),
        pytest.param("other-12", ("StatefulSet", "db"), None, id="another name"),
    ],
)
def test_only_pods_of_a_stateful_set_have_an_ordinal(
    name: str, owner: tuple[str, str], ordinal: int | None
) -> None:
    assert record_of(a_pod(name, ownerReferences=owned_by(*owner))).ordinal == ordinal


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param({}, False, id="nothing told"),
        pytest.param(ready(pod=True), True, id="the pod, before its containers are told of"),
        pytest.param(ready(sidecar=True, pod=False), True, id="the application is not"),
        pytest.param(ready(sidecar=False, pod=True), False, id="the sidecar is not"),
    ],
)
def test_a_worker_is_ready_when_its_sidecar_is(status: dict[str, Any], *, expected: bool) -> None:
    assert record_of(a_pod(status=status)).is_ready is expected


def test_nothing_that_is_told_of_a_pod_is_lost_in_its_shape() -> None:
    labels = {naming.WORKER: "node3", "pod-template-hash": "5d4f", "app": "web"}
    pod = a_pod(
        labels=labels,
        spec={**GATE, **SIDECAR, "containers": [{"name": "app", "image": "app"}]},
        status={"phase": "Running", "podIP": "10.0.0.1", **ready(sidecar=True)},
        annotations={naming.INJECTED: "0123", "other": "text"},
        deletionTimestamp="2026-11-22T08:00:00Z",
        ownerReferences=owned_by("ReplicaSet", "web-5d4f"),
    )

    kept = msgspec.json.decode(msgspec.json.encode(pod), type=PodShape)

    assert record_of(kept) == record_of(pod)
    assert record_of(kept).worker == "node3"
    text = str(kept)
    assert "podIP" not in text
    assert "containers" not in text
    assert "other" not in kept["metadata"]["annotations"]
