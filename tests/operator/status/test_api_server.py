import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from moorline_operator.kube.api import Kube
from moorline_operator.kube.kinds import SESSION_CLUSTERS
from moorline_operator.status import Observed, previous_status, status_object, status_of

from tests.operator.control_plane import ControlPlane
from tests.operator.status.facts import (
    MONGODB,
    NOW,
    a_check,
    a_purge,
    a_record,
    observed,
    unreadable,
)

pytestmark = pytest.mark.usefixtures("crds")

CASES = {
    "first": observed(),
    "good": observed(jobs=[a_check(), a_purge()], pods=[a_record()]),
    "bad": observed(
        jobs=[a_check("SecretNotFound"), a_purge(has_succeeded=False, reason="OOMKilled")],
        pods=[a_record(injected="old"), a_record("2", has_sidecar=False)],
    ),
    "unreadable": unreadable(mistakes=["spec.x: wrong"] * 1000),
}


async def written(kube: Kube, namespace: str, name: str, facts: Observed) -> dict[str, Any]:
    """The SessionCluster after its status was written."""
    obj = {
        "apiVersion": SESSION_CLUSTERS.api_version,
        "kind": SESSION_CLUSTERS.name,
        "metadata": {"namespace": namespace, "name": name},
        "status": status_object(status_of(facts)),
    }
    return await kube.apply(SESSION_CLUSTERS, obj, subresource="status")


async def test_a_status_is_kept_as_it_was_written(kube: Kube, namespace: str) -> None:
    for name, facts in CASES.items():
        cluster = {
            "apiVersion": SESSION_CLUSTERS.api_version,
            "kind": SESSION_CLUSTERS.name,
            "metadata": {"namespace": namespace, "name": name},
            "spec": {"backend": MONGODB},
        }
        await kube.create(SESSION_CLUSTERS, cluster)
        first = await written(kube, namespace, name, facts)
        assert first["status"] == status_object(status_of(facts))
        assert previous_status(first) == status_of(facts)
        later = msgspec.structs.replace(
            facts, previous=previous_status(first), now=NOW + timedelta(hours=1)
        )
        assert await written(kube, namespace, name, later) == first


async def test_kubectl_waits_for_conditions_and_shows_columns(
    kube: Kube, control_plane: ControlPlane, namespace: str
) -> None:
    cluster = {
        "apiVersion": SESSION_CLUSTERS.api_version,
        "kind": SESSION_CLUSTERS.name,
        "metadata": {"namespace": namespace, "name": "shop"},
        "spec": {"backend": MONGODB},
    }
    await kube.create(SESSION_CLUSTERS, cluster)
    await written(kube, namespace, "shop", CASES["good"])
    control_plane.kubectl(
        "wait", "--for=condition=Ready", "scl/shop", f"--namespace={namespace}", "--timeout=10s"
    )
    answer = control_plane.kubectl("get", "scl", "shop", f"--namespace={namespace}", "-o", "json")
    assert json.loads(answer)["status"]["workers"]["ready"] == 1
    assert "AllReady" in control_plane.kubectl(
        "get", "scl", f"--namespace={namespace}", "-o", "wide"
    )
