import json
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moorline_operator import naming
from moorline_operator.cluster import Cluster, cluster_of
from moorline_operator.desired import check_job, desired_objects, purge_job
from moorline_operator.desired.quantities import canonical
from moorline_operator.desired.task_pod import task_pod
from moorline_operator.kube.api import Kube
from moorline_operator.kube.kinds import CRON_JOBS, JOBS, PODS, SESSION_CLUSTERS
from moorline_operator.settings import InjectionSettings

from tests.operator.control_plane import ControlPlane
from tests.operator.desired.clusters import MEMORY, MONGODB, SETTINGS

pytestmark = pytest.mark.usefixtures("crds")

OPENSHIFT: Final = InjectionSettings(image="sidecar:latest", pull_policy="Always", run_as_user=None)
SPECS: Final[dict[str, dict[str, Any]]] = {
    "defaults": {"backend": MONGODB},
    "no-secret": {"backend": MEMORY},
    "every-child": {"backend": MONGODB, "monitoring": {"networkPolicy": True}},
    "odd-quantities": {
        "backend": MONGODB,
        "purge": {
            "resources": {
                "requests": {"cpu": "0.25", "memory": "0.0625Gi", "ephemeral-storage": "1e6"},
                "limits": {"cpu": 1, "memory": "1024Mi", "ephemeral-storage": "1000k"},
            }
        },
    },
    "no-resources": {"backend": MONGODB, "purge": {"resources": {"requests": {}, "limits": {}}}},
    "own-schedule": {
        "backend": MONGODB,
        "purge": {"schedule": "*/5 0-6 * * mon", "timeZone": "Europe/Berlin", "suspend": True},
        "sidecar": {"image": "registry.example.com/mine@sha256:" + 64 * "a"},
    },
}


async def a_cluster(kube: Kube, namespace: str, name: str, spec: dict[str, Any]) -> Cluster:
    """The cluster as the API server made it, with every default."""
    made = await kube.create(
        SESSION_CLUSTERS,
        {
            "apiVersion": SESSION_CLUSTERS.api_version,
            "kind": SESSION_CLUSTERS.name,
            "metadata": {"namespace": namespace, "name": name},
            "spec": spec,
        },
    )
    return cluster_of(made)


@pytest.mark.parametrize("options", [SETTINGS, OPENSHIFT], ids=["stock", "openshift"])
async def test_applying_the_same_children_twice_changes_nothing(
    kube: Kube, namespace: str, options: InjectionSettings
) -> None:
    for case, spec in SPECS.items():
        cluster = await a_cluster(kube, namespace, case, spec)
        for child in desired_objects(cluster, options):
            first = await kube.apply(child.kind, child.obj)
            assert await kube.apply(child.kind, child.obj) == first, case


async def test_jobs_are_valid(kube: Kube, namespace: str) -> None:
    for case, spec in SPECS.items():
        cluster = await a_cluster(kube, namespace, case, spec)
        await kube.create(JOBS, purge_job(cluster, SETTINGS, "now"))
        await kube.create(JOBS, check_job(cluster, SETTINGS, 0, "0a1b2c3d"))


async def test_the_longest_name_has_room_for_every_child(kube: Kube, namespace: str) -> None:
    cluster = await a_cluster(kube, namespace, 35 * "a", SPECS["every-child"])
    for child in desired_objects(cluster, SETTINGS):
        await kube.apply(child.kind, child.obj)
    await kube.create(JOBS, purge_job(cluster, SETTINGS, 300 * "t"))
    await kube.create(JOBS, check_job(cluster, SETTINGS, 1000, "0a1b2c3d"))


async def test_what_is_no_longer_said_goes_from_the_child(kube: Kube, namespace: str) -> None:
    cluster = await a_cluster(kube, namespace, "shop", SPECS["defaults"])
    [_, before] = desired_objects(cluster, SETTINGS)
    await kube.apply(CRON_JOBS, before.obj)
    raw = {**cluster.raw_spec, "purge": {**cluster.raw_spec["purge"], "resources": {}}}
    [_, after] = desired_objects(_with_spec(cluster, raw), SETTINGS)
    stored = await kube.apply(CRON_JOBS, after.obj)
    assert _pod_of(stored)["containers"][0]["resources"] == {}


async def test_edits_by_hand_are_repaired(kube: Kube, namespace: str) -> None:
    cluster = await a_cluster(kube, namespace, "shop", SPECS["defaults"])
    [_, child] = desired_objects(cluster, SETTINGS)
    right = await kube.apply(CRON_JOBS, child.obj)
    wrong = {
        "hostNetwork": True,
        "serviceAccountName": "admin",
        "automountServiceAccountToken": True,
        "containers/0/image": "another",
        "containers/0/args/0": "serve",
        "containers/0/securityContext/readOnlyRootFilesystem": False,
        "containers/0/securityContext/runAsNonRoot": False,
        "containers/0/terminationMessagePolicy": "FallbackToLogsOnError",
    }
    place = "/spec/jobTemplate/spec/template/spec"
    name = child.obj["metadata"]["name"]
    for path, value in wrong.items():
        edit = {"op": "add", "path": f"{place}/{path}", "value": value}
        edited = await kube.json_patch(CRON_JOBS, namespace, name, [edit])
        assert _pod_of(edited) != _pod_of(right), path
        assert _pod_of(await kube.apply(CRON_JOBS, child.obj)) == _pod_of(right), path


@pytest.mark.parametrize("options", [SETTINGS, OPENSHIFT], ids=["stock", "openshift"])
async def test_the_pod_of_a_task_passes_the_restricted_profile(
    kube: Kube,
    control_plane: ControlPlane,
    namespace: str,
    options: InjectionSettings,
) -> None:
    enforce = "pod-security.kubernetes.io/enforce=restricted"
    control_plane.kubectl("label", "namespace", namespace, enforce)
    cluster = await a_cluster(kube, namespace, "shop", SPECS["defaults"])
    template = task_pod(cluster, options, naming.CHECK_TASK, ())
    metadata = {**template["metadata"], "namespace": namespace, "name": "task"}
    pod = {"apiVersion": "v1", "kind": "Pod", **template, "metadata": metadata}
    made = await kube.create(PODS, pod)
    volumes = [volume["name"] for volume in made["spec"]["volumes"]]
    assert volumes == ["moorline-config", "moorline-backend"], "no token is among them"


QUANTITIES: Final = st.from_regex(
    r"([0-9]{1,9}(\.[0-9]{0,9})?|\.[0-9]{1,9})([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,2})?",
    fullmatch=True,
)


@settings(
    max_examples=10,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(QUANTITIES, min_size=60, max_size=60))
def test_quantities_are_what_the_api_server_keeps(
    control_plane: ControlPlane, namespace: str, quantities: list[str]
) -> None:
    written = [canonical(quantity) for quantity in quantities]
    stored = _as_stored(control_plane, namespace, [*written, *quantities])
    assert stored[: len(written)] == written
    assert [canonical(quantity) for quantity in stored] == written + written


def _as_stored(control_plane: ControlPlane, namespace: str, quantities: list[str]) -> list[str]:
    volumes = [
        {"name": f"v{number}", "emptyDir": {"sizeLimit": quantity}}
        for number, quantity in enumerate(quantities)
    ]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": "quantities"},
        "spec": {"containers": [{"name": "app", "image": "app"}], "volumes": volumes},
    }
    answer = control_plane.kubectl(
        "create", "--dry-run=server", "--output=json", "--filename=-", stdin=json.dumps(pod)
    )
    return [
        volume["emptyDir"]["sizeLimit"]
        for volume in json.loads(answer)["spec"]["volumes"]
        if "emptyDir" in volume
    ]


def _pod_of(cron_job: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return spec


def _with_spec(cluster: Cluster, raw: dict[str, Any]) -> Cluster:
    metadata = {
        "namespace": cluster.namespace,
        "name": cluster.name,
        "uid": cluster.uid,
        "generation": cluster.generation + 1,
    }
    return cluster_of({"metadata": metadata, "spec": raw})
