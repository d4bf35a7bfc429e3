from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml
from moorline_operator.kube.kinds import PODS

from tests.charts.fences import GATE, Account, pod, wait_for_policies
from tests.charts.gateway import Gateway
from tests.charts.releases import Release, installed
from tests.operator.control_plane import ControlPlane

pytestmark = pytest.mark.usefixtures("crds")

WORKER: Final = "/metadata/labels/moorline.io~1worker"
NAMING: Final = [
    {"op": "test", "path": "/spec/schedulingGates/0", "value": GATE},
    {"op": "add", "path": WORKER, "value": "node3"},
    {"op": "remove", "path": "/spec/schedulingGates/0"},
]
"""How the operator names a pod."""

OTHER_GATE: Final = {"name": "example.com/quota"}


@pytest.fixture(scope="module")
def release(control_plane: ControlPlane, gate: Gateway, module_namespace: str) -> Iterator[Release]:
    # Before the webhook: there is nobody to answer it.
    pods = [
        pod("gated", GATE, OTHER_GATE, cluster="shop"),
        pod("named", cluster="shop"),
        pod("other", GATE),
    ]
    for each in pods:
        control_plane.kubectl(
            "create", f"--namespace={module_namespace}", "--filename=-", stdin=yaml.safe_dump(each)
        )
    with installed(control_plane, module_namespace) as found:
        wait_for_policies(gate, found, "other")
        operator = ("--as", found.user)
        found.kubectl("label", "pod", "named", "moorline.io/worker=node1", *operator)
        yield found


@pytest.fixture
def operator(gate: Gateway, release: Release) -> Account:
    return Account(gate, release.namespace, release.user)


@pytest.fixture
def people(gate: Gateway, release: Release) -> Account:
    return Account(gate, release.namespace)


def test_the_operator_names_a_pod(operator: Account) -> None:
    assert not operator.patch(PODS, "gated", NAMING)


METADATA: Final = "only the label moorline.io/worker"
SPEC: Final = "only the gate moorline.io/worker-name"
CASES: Final[dict[str, tuple[str, Any, str]]] = {
    "of-nobody": ("other", {"metadata": {"labels": {"moorline.io/worker": "n"}}}, "only pods with"),
    "joins-a-cluster": ("other", {"metadata": {"labels": {"moorline.io/cluster": "shop"}}}, "only"),
    "label": ("gated", {"metadata": {"labels": {"app": "x"}}}, METADATA),
    "cluster": ("gated", {"metadata": {"labels": {"moorline.io/cluster": "a"}}}, METADATA),
    "no-cluster": ("gated", {"metadata": {"labels": {"moorline.io/cluster": None}}}, METADATA),
    "annotation": ("gated", {"metadata": {"annotations": {"a": "b"}}}, METADATA),
    "finalizer": ("gated", {"metadata": {"finalizers": ["example.com/a"]}}, METADATA),
    "owner": (
        "gated",
        {
            "metadata": {
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "u"}
                ]
            }
        },
        METADATA,
    ),
    "image": (
        "gated",
        [{"op": "replace", "path": "/spec/containers/0/image", "value": "mine"}],
        SPEC,
    ),
    "toleration": (
        "gated",
        [{"op": "add", "path": "/spec/tolerations/-", "value": {"operator": "Exists"}}],
        SPEC,
    ),
    "deadline": ("named", {"spec": {"activeDeadlineSeconds": 1}}, SPEC),
    "node-selector": ("gated", {"spec": {"nodeSelector": {"a": "b"}}}, SPEC),
    "gate-of-others": (
        "gated",
        [{"op": "remove", "path": "/spec/schedulingGates/1"}],
        "may remove only moorline.io/worker-name",
    ),
    "all-gates": (
        "gated",
        [*NAMING, {"op": "remove", "path": "/spec/schedulingGates/0"}],
        "may remove only moorline.io/worker-name",
    ),
}


@pytest.mark.parametrize(("name", "patch", "why"), CASES.values(), ids=CASES)
def test_the_operator_changes_nothing_else_of_a_pod(
    operator: Account,
    name: str,
    patch: Any,  # noqa: ANN401 - JSON
    why: str,
) -> None:
    assert why in operator.patch(PODS, name, patch)


@pytest.mark.parametrize(
    ("name", "value"), [("gated", "node9"), ("named", "node9"), ("named", None), ("named", "")]
)
@pytest.mark.parametrize("subresource", ["", "/status"], ids=["pod", "status"])
def test_nobody_else_names_a_pod(
    people: Account, name: str, value: str | None, subresource: str
) -> None:
    patch = {"metadata": {"labels": {"moorline.io/worker": value}}}
    assert "set by the operator and stays as it is" in people.patch(
        PODS, f"{name}{subresource}", patch
    )


@pytest.mark.parametrize("worker", ["node1", ""])
def test_no_pod_is_born_with_a_name(people: Account, worker: str) -> None:
    assert "take it out of the pod, or of its template" in people.create(
        PODS, pod("x", worker=worker)
    )


def test_all_else_is_as_ever(people: Account) -> None:
    assert not people.create(PODS, pod("x"))
    assert not people.patch(PODS, "named", {"metadata": {"labels": {"app": "x"}}})
    assert not people.patch(PODS, "gated", {"metadata": {"annotations": {"a": "b"}}})
    assert not people.patch(PODS, "gated", [{"op": "remove", "path": "/spec/schedulingGates"}])
    assert not people.delete(PODS, "named")
