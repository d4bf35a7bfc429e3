from collections.abc import Iterator
from typing import Any, Final

import jsonpatch
import pytest
import yaml
from moorline_operator.cluster import Cluster
from moorline_operator.desired import check_job, desired_objects, purge_job
from moorline_operator.kube.kinds import CONFIG_MAPS, CRON_JOBS, JOBS, LEASES, NETWORK_POLICIES
from moorline_operator.settings import InjectionSettings

from tests.charts.fences import Account, plain, pod, wait_for_policies
from tests.charts.gateway import Gateway
from tests.charts.releases import KubeObject, Release, installed
from tests.operator.control_plane import ControlPlane
from tests.operator.desired.clusters import cluster_from

pytestmark = pytest.mark.usefixtures("crds")

SETTINGS: Final = InjectionSettings(image="moorline/sidecar:0.1.0")
ALLOWED: Final = "registry.example.com/moorline/"


@pytest.fixture(scope="module")
def release(control_plane: ControlPlane, gate: Gateway, module_namespace: str) -> Iterator[Release]:
    flags = f"--namespace={module_namespace}"
    objects = [
        *(pod("other"), plain("ConfigMap", "v1", "settings")),
        plain("ConfigMap", "v1", "shop-moorline"),
        plain("Lease", "coordination.k8s.io/v1", "somebody"),
        plain("Lease", "coordination.k8s.io/v1", "moorline-shop-node1"),
    ]
    control_plane.kubectl("create", flags, "--filename=-", stdin=yaml.safe_dump_all(objects))
    values = f"--set=sidecar.allowedImages={{{ALLOWED}}}"
    with installed(control_plane, module_namespace, values) as found:
        wait_for_policies(gate, found, "other")
        yield found


@pytest.fixture
def operator(gate: Gateway, release: Release) -> Account:
    return Account(gate, release.namespace, release.user)


@pytest.fixture
def cluster(release: Release) -> Cluster:
    return cluster_from({"monitoring": {"networkPolicy": True}}, namespace=release.namespace)


def test_the_operator_makes_what_a_session_cluster_wants(
    operator: Account, cluster: Cluster
) -> None:
    children = desired_objects(cluster, SETTINGS)
    assert [child.kind for child in children] == [CONFIG_MAPS, CRON_JOBS, NETWORK_POLICIES]
    for child in children:
        assert not operator.apply(child.kind, child.obj)
    assert not operator.create(JOBS, check_job(cluster, SETTINGS, 0, "0123abcd"))
    assert not operator.create(JOBS, purge_job(cluster, SETTINGS, "today"))


@pytest.mark.parametrize(
    "image", ["moorline/sidecar:2", "moorline/sidecar@sha256:0", f"{ALLOWED}any:1"]
)
def test_the_image_is_the_sidecars_of_any_version_or_an_allowed_one(
    operator: Account, cluster: Cluster, image: str
) -> None:
    settings = InjectionSettings(image=image, run_as_user=None, pull_policy="Always")
    assert not operator.create(JOBS, check_job(cluster, settings, 0, "0123abcd"))


def added(path: str, value: Any) -> list[KubeObject]:  # noqa: ANN401 - JSON
    return [{"op": "add", "path": path, "value": value}]


CONTAINER: Final = "/containers/0"
IMAGE: Final = "may start only the image"
COMMAND: Final = "only the sidecar's commands purge and check"
ACCOUNT: Final = "as the account default, without its token"
RESTRICTED: Final = "is restricted"
SHAPE: Final = "have one container, and nothing of the node"
FILES: Final = "reads the ConfigMap of its SessionCluster, and one Secret"
WRONG_TASKS: Final[dict[str, tuple[list[KubeObject], str]]] = {
    "image": (added(f"{CONTAINER}/image", "moorline/sidecarx:1"), IMAGE),
    "image-of-others": (added(f"{CONTAINER}/image", "busybox"), IMAGE),
    "serve": (added(f"{CONTAINER}/args", ["serve"]), COMMAND),
    "no-command": (added(f"{CONTAINER}/args", []), COMMAND),
    "command": (added(f"{CONTAINER}/command", ["sh", "-c", "id"]), COMMAND),
    "environment": (added(f"{CONTAINER}/env/-", {"name": "PYTHONPATH", "value": "/a"}), COMMAND),
    "secret-in-environment": (
        added(
            f"{CONTAINER}/env/-",
            {"name": "MOORLINE_A", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}},
        ),
        COMMAND,
    ),
    "all-of-a-secret": (added(f"{CONTAINER}/envFrom", [{"secretRef": {"name": "a"}}]), COMMAND),
    "hook": (
        added(f"{CONTAINER}/lifecycle", {"postStart": {"exec": {"command": ["id"]}}}),
        COMMAND,
    ),
    "second-container": (
        added("/containers/-", {"name": "b", "image": SETTINGS.image, "args": ["purge"]}),
        COMMAND,
    ),
    "init-container": (added("/initContainers", [{"name": "b", "image": SETTINGS.image}]), SHAPE),
    "account": (added("/serviceAccountName", "admin"), ACCOUNT),
    "token": (added("/automountServiceAccountToken", True), ACCOUNT),  # noqa: FBT003 - JSON
    "host-network": (added("/hostNetwork", True), SHAPE),  # noqa: FBT003 - JSON
    "host-pid": (added("/hostPID", True), SHAPE),  # noqa: FBT003 - JSON
    "node": (added("/nodeName", "node-a"), SHAPE),
    "not-restricted": (added(f"{CONTAINER}/securityContext", {"runAsUser": 1}), RESTRICTED),
    "root": (added(f"{CONTAINER}/securityContext/runAsNonRoot", False), RESTRICTED),  # noqa: FBT003
    "capability": (
        added(f"{CONTAINER}/securityContext/capabilities/add", ["NET_BIND_SERVICE"]),
        RESTRICTED,
    ),
    "unconfined": (
        added(f"{CONTAINER}/securityContext/seccompProfile", {"type": "Unconfined"}),
        RESTRICTED,
    ),
    "pod-wide": (added("/securityContext", {"runAsUser": 0}), RESTRICTED),
    "config-map": (added("/volumes/0/configMap/name", "settings"), FILES),
    "second-secret": (added("/volumes/-", {"name": "b", "secret": {"secretName": "b"}}), FILES),
    "host-path": (added("/volumes/-", {"name": "b", "hostPath": {"path": "/"}}), FILES),
    "token-volume": (
        added(
            "/volumes/-",
            {"name": "b", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
        ),
        FILES,
    ),
    "mounted-over-code": (added(f"{CONTAINER}/volumeMounts/0/mountPath", "/usr/lib/a"), FILES),
    "sub-path": (added(f"{CONTAINER}/volumeMounts/0/subPath", "a"), FILES),
}


@pytest.mark.parametrize(("patch", "why"), WRONG_TASKS.values(), ids=WRONG_TASKS)
def test_the_operator_starts_nothing_else(
    operator: Account, cluster: Cluster, patch: list[KubeObject], why: str
) -> None:
    job = check_job(cluster, SETTINGS, 0, "0123abcd")
    spec = job["spec"]["template"]["spec"]
    job["spec"]["template"]["spec"] = jsonpatch.apply_patch(spec, patch)
    assert why in operator.create(JOBS, job)


def test_the_template_of_a_cron_job_is_looked_at_too(operator: Account, cluster: Cluster) -> None:
    cron_jobs = (each.obj for each in desired_objects(cluster, SETTINGS) if each.kind == CRON_JOBS)
    cron_job = next(cron_jobs)
    template = cron_job["spec"]["jobTemplate"]["spec"]["template"]
    template["spec"]["containers"][0]["image"] = "busybox"
    assert IMAGE in operator.apply(CRON_JOBS, cron_job)


NO_OWNER: Final = "only what a SessionCluster owns"
WRONG_METADATA: Final = {
    "no-owner": added("/ownerReferences", []),
    "another-kind": added("/ownerReferences/0/kind", "Deployment"),
    "another-group": added("/ownerReferences/0/apiVersion", "example.com/v1"),
    "another-name": added("/name", "coredns"),
    "a-longer-name": added("/name", "shop-moorlines"),
    "that-of-another-cluster": added("/name", "blog-moorline"),
}


@pytest.mark.parametrize("patch", WRONG_METADATA.values(), ids=WRONG_METADATA)
def test_a_child_belongs_to_its_session_cluster_and_bears_its_name(
    operator: Account, cluster: Cluster, patch: list[KubeObject]
) -> None:
    for child in desired_objects(cluster, SETTINGS):
        obj = {**child.obj, "metadata": jsonpatch.apply_patch(child.obj["metadata"], patch)}
        assert "denied request" in operator.apply(child.kind, obj), child.kind
    job = check_job(cluster, SETTINGS, 0, "0123abcd")
    job["metadata"] = jsonpatch.apply_patch(job["metadata"], patch)
    assert "denied request" in operator.create(JOBS, job)


def test_the_operator_deletes_only_what_bears_such_a_name(operator: Account) -> None:
    # Without an owner: what somebody changed by hand can still be taken away.
    assert not operator.delete(CONFIG_MAPS, "shop-moorline")
    assert "may delete only what is named" in operator.delete(CONFIG_MAPS, "settings")
    assert NO_OWNER in operator.patch(CONFIG_MAPS, "settings", {"data": {"a": "b"}})


def test_the_operator_writes_leases_of_its_own_name_only(
    gate: Gateway, operator: Account, release: Release
) -> None:
    why = "only Leases whose names begin with moorline-"
    taken = {"spec": {"holderIdentity": "me"}}

    def lease(name: str) -> KubeObject:
        return plain("Lease", "coordination.k8s.io/v1", name)

    assert not operator.create(LEASES, lease("moorline-shop-node2"))
    assert not operator.create(LEASES, lease(f"{release.prefix}-leader"))
    assert not operator.patch(LEASES, "moorline-shop-node1", taken)
    assert not operator.delete(LEASES, "moorline-shop-node1")
    assert why in operator.create(LEASES, lease("somebody-else"))
    assert why in operator.patch(LEASES, "somebody", taken)
    assert why in operator.delete(LEASES, "somebody")
    elsewhere = Account(gate, "default", release.user)
    assert why in elsewhere.create(LEASES, lease(f"{release.prefix}-leader"))
