"""The webhook as a real API server calls it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from moorline_operator import naming
from moorline_operator.errors import KubeError
from moorline_operator.injection import fingerprint
from moorline_operator.kube.api import Kube, KubeObject
from moorline_operator.kube.kinds import CRON_JOBS, JOBS, PODS, Kind
from moorline_operator.settings import CertificateSettings

from tests.operator.control_plane import ControlPlane
from tests.operator.injection.samples import (
    ALL_EXTRAS,
    SETTINGS,
    a_cluster,
    mounts_of,
    sidecar_in,
)
from tests.operator.webhook.admission import (
    Admission,
    a_labelled_pod,
    admission,
    skip_unless_local,
    until,
)

pytestmark = pytest.mark.timeout(300)

SERVICE_ACCOUNT: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
RESTRICTED: Final = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest.fixture
async def joined(
    kube: Kube, control_plane: ControlPlane, namespace: str
) -> AsyncIterator[Admission]:
    skip_unless_local(is_local=control_plane.is_local)
    async with admission(kube, namespace, CertificateSettings()) as found:
        yield found


def by_template(kind: str, template: KubeObject, version: str = "apps/v1") -> KubeObject:
    selector = {"matchLabels": {naming.CLUSTER: "shop"}}
    spec: dict[str, Any] = {"template": template, "selector": selector}
    if kind == "StatefulSet":
        spec["serviceName"] = "web"
    if version == "batch/v1":
        template["spec"]["restartPolicy"] = "Never"
        spec = {"template": template}
    if kind == "CronJob":
        spec = {"schedule": "* * * * *", "jobTemplate": {"spec": spec}}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "web"}, "spec": spec}


async def test_a_labelled_pod_joins(joined: Admission) -> None:
    pod = await joined.kube.create(PODS, a_labelled_pod(joined.namespace))
    cluster = a_cluster(joined.namespace)
    assert pod["metadata"]["annotations"][naming.INJECTED] == fingerprint(cluster, SETTINGS)
    assert pod["spec"]["schedulingGates"] == [{"name": naming.GATE}]
    assert pod["spec"]["initContainers"][0]["name"] == naming.CONTAINER
    app = pod["spec"]["containers"][0]
    assert app["env"][0] == {"name": "MOORLINE_URL", "value": "http://127.0.0.1:7070"}


async def test_the_sidecar_has_exactly_one_mount_where_the_token_would_be(
    joined: Admission,
) -> None:
    joined.clusters.watched[joined.namespace, "shop"] = a_cluster(
        joined.namespace, sidecar=ALL_EXTRAS
    )
    pod = await joined.kube.create(PODS, a_labelled_pod(joined.namespace))
    paths = [mount["mountPath"] for mount in sidecar_in(pod)["volumeMounts"]]
    assert paths.count(SERVICE_ACCOUNT) == 1
    assert mounts_of(sidecar_in(pod))[SERVICE_ACCOUNT] == "moorline-no-account"
    assert mounts_of(pod["spec"]["containers"][0])[SERVICE_ACCOUNT].startswith("kube-api-access")


async def test_a_pod_without_the_label_is_untouched(joined: Admission) -> None:
    pod = a_labelled_pod(joined.namespace)
    del pod["metadata"]["labels"]
    answers = len(joined.answers)
    made = await joined.kube.create(PODS, pod)
    assert "initContainers" not in made["spec"]
    assert len(joined.answers) == answers


async def test_injecting_what_was_injected_changes_nothing(joined: Admission) -> None:
    once = await joined.kube.create(PODS, a_labelled_pod(joined.namespace))
    copy = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "copy",
            "namespace": joined.namespace,
            "labels": once["metadata"]["labels"],
            "annotations": once["metadata"]["annotations"],
        },
        "spec": once["spec"],
    }
    twice = await joined.kube.create(PODS, copy)
    assert twice["spec"] == once["spec"]
    assert twice["metadata"]["annotations"] == once["metadata"]["annotations"]


@pytest.mark.parametrize(
    ("kind", "version", "plural"),
    [
        pytest.param("Deployment", "apps/v1", "deployments", id="Deployment"),
        pytest.param("StatefulSet", "apps/v1", "statefulsets", id="StatefulSet"),
        pytest.param("DaemonSet", "apps/v1", "daemonsets", id="DaemonSet"),
        pytest.param("Job", "batch/v1", "jobs", id="Job"),
        pytest.param("CronJob", "batch/v1", "cronjobs", id="CronJob"),
    ],
)
async def test_pods_of_every_controller_join(
    joined: Admission, control_plane: ControlPlane, kind: str, version: str, plural: str
) -> None:
    template = a_labelled_pod(joined.namespace)
    workload = by_template(
        kind,
        {"metadata": {"labels": template["metadata"]["labels"]}, "spec": template["spec"]},
        version,
    )
    workload["metadata"]["namespace"] = joined.namespace
    if kind == "DaemonSet":
        await _with_a_node(joined.kube)
    made = await joined.kube.create(Kind(version, kind, plural), workload)
    owner = made["metadata"]["uid"]
    if kind == "CronJob":
        # Its own controller would take up to a minute; this is what `kubectl create job` does.
        spec = made["spec"]["jobTemplate"]["spec"]
        metadata = {"name": "web-now", "namespace": joined.namespace}
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}
        owner = (await joined.kube.create(JOBS, job))["metadata"]["uid"]
    pod = await _pod_of(joined, owner)
    assert sidecar_in(pod)["restartPolicy"] == "Always"
    assert {"name": naming.GATE} in pod["spec"]["schedulingGates"]
    if kind == "CronJob":
        await joined.kube.delete(CRON_JOBS, joined.namespace, "web")
    assert control_plane.is_local


async def _with_a_node(kube: Kube) -> None:
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "moorline-test"}}
    nodes = Kind("v1", "Node", "nodes")
    try:
        await kube.create(nodes, node)
    except KubeError:
        await kube.get(nodes, "", "moorline-test")


async def _pod_of(joined: Admission, owner: str) -> KubeObject:
    """The first pod below an owner, a ReplicaSet between them or not."""
    async with asyncio.timeout(60):
        while True:
            async for page in joined.kube.pages(PODS, joined.namespace):
                for pod in page["items"]:
                    if pod["metadata"].get("ownerReferences"):
                        return dict(pod)
            assert owner
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("extras", [{}, ALL_EXTRAS], ids=["default", "all extras"])
async def test_a_restricted_namespace_accepts_what_joins(
    joined: Admission, control_plane: ControlPlane, extras: dict[str, Any]
) -> None:
    label = "pod-security.kubernetes.io/enforce=restricted"
    await asyncio.to_thread(control_plane.kubectl, "label", "namespace", joined.namespace, label)
    joined.clusters.watched[joined.namespace, "shop"] = a_cluster(joined.namespace, sidecar=extras)
    bare = a_labelled_pod(joined.namespace)

    async def is_refused() -> bool:
        try:
            await joined.kube.create(PODS, bare, is_dry_run=True)
        except KubeError as error:
            return "violates PodSecurity" in str(error)
        return False

    # Admission hears of the label a moment later.
    await until(is_refused)
    app = {"name": "app", "image": "app", "securityContext": RESTRICTED}
    pod = await joined.kube.create(PODS, a_labelled_pod(joined.namespace, containers=[app]))
    assert sidecar_in(pod)["securityContext"]["runAsUser"] == 65532


async def test_a_refusal_reads_well(joined: Admission) -> None:
    with pytest.raises(KubeError) as refusal:
        await joined.kube.create(PODS, a_labelled_pod(joined.namespace, hostNetwork=True))
    assert (
        'admission webhook "inject.moorline.io" denied the request: hostNetwork: true would open'
        in str(refusal.value)
    )


async def test_a_cluster_that_comes_a_moment_later_is_found(joined: Admission) -> None:
    cluster = joined.clusters.watched.pop((joined.namespace, "shop"))
    creating = asyncio.create_task(joined.kube.create(PODS, a_labelled_pod(joined.namespace)))
    async with asyncio.timeout(10):
        await joined.clusters.looked.wait()
    joined.clusters.live[cluster.key] = cluster
    assert sidecar_in(await creating)


async def test_without_its_cluster_a_pod_is_refused_and_told_that_it_comes_again(
    joined: Admission,
) -> None:
    joined.clusters.watched.clear()
    with pytest.raises(KubeError, match=r"there is no SessionCluster.*apply it.*tried again"):
        await joined.kube.create(PODS, a_labelled_pod(joined.namespace))


async def test_the_bundle_is_all_that_is_taken_over_from_the_chart(joined: Admission) -> None:
    configuration = await joined.configuration()
    managers = {
        entry["manager"]: entry["fieldsV1"]["f:webhooks"]
        for entry in configuration["metadata"]["managedFields"]
    }
    ours = managers[naming.FIELD_MANAGER]
    (fields,) = ours.values()
    assert set(fields) == {".", "f:name", "f:clientConfig"}
    assert set(fields["f:clientConfig"]) == {"f:caBundle"}
    client = configuration["webhooks"][0]["clientConfig"]
    assert client["service"]["path"] == "/inject"
