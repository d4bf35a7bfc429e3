"""What the webhook answers to requests of every kind, without an API server."""

import json
from base64 import b64decode
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import jsonpatch
import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request
from moorline_operator.cluster import Cluster
from moorline_operator.errors import Forbidden
from moorline_operator.injection import inject
from moorline_operator.webhook import Lookup, Webhook
from msgspec import structs

from tests.operator.injection.samples import SETTINGS, a_cluster
from tests.operator.objects import a_pod
from tests.operator.webhook.admission import Known

Client = TestClient[Request, Application]


class NotAllowed(Known):
    """The operator's account may not read SessionClusters."""

    async def look_up(self, namespace: str, name: str) -> Cluster | None:
        raise Forbidden(f"get {namespace}/{name}", "not allowed")


@pytest.fixture
def known() -> Known:
    return Known(a_cluster())


@pytest.fixture
def results() -> list[str]:
    return []


@pytest.fixture
async def client(known: Known, results: list[str]) -> AsyncIterator[Client]:
    webhook = Webhook(Lookup(known, 0.05), SETTINGS, lambda result, _: results.append(result))
    async with TestClient(TestServer(webhook.application())) as found:
        yield found


def review(pod: object, **request: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "namespace": "web",
            "operation": "CREATE",
            "object": pod,
            **request,
        },
    }


async def answer_to(client: Client, body: object) -> dict[str, Any]:
    async with client.post("/inject", json=body) as response:
        assert response.status == 200
        answer: dict[str, Any] = await response.json()
    assert (answer["apiVersion"], answer["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    found: dict[str, Any] = answer["response"]
    assert found["uid"] == "705ab4f5"
    return found


async def test_the_answer_is_a_patch_that_injects(client: Client, results: list[str]) -> None:
    pod = a_pod()
    response = await answer_to(client, review(pod))
    assert response["allowed"]
    assert response["patchType"] == "JSONPatch"
    patched = jsonpatch.apply_patch(pod, json.loads(b64decode(response["patch"])))
    assert patched == inject(pod, a_cluster(), SETTINGS)
    assert results == ["injected"]


async def test_a_dry_run_is_answered_as_any_other(client: Client) -> None:
    dry = await answer_to(client, review(a_pod(), dryRun=True))
    assert dry == await answer_to(client, review(a_pod(), dryRun=False))


async def test_the_namespace_is_the_requests(client: Client) -> None:
    pod = a_pod()
    del pod["metadata"]["namespace"]
    assert (await answer_to(client, review(pod)))["allowed"]


async def test_what_is_injected_already_gets_no_patch(client: Client) -> None:
    response = await answer_to(client, review(inject(a_pod(), a_cluster(), SETTINGS)))
    assert response == {"uid": "705ab4f5", "allowed": True}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(review({"metadata": {}, "spec": {"containers": []}}), id="no label"),
        pytest.param(review(None, operation="DELETE"), id="not made"),
    ],
)
async def test_what_does_not_join_passes(
    client: Client, results: list[str], body: dict[str, Any]
) -> None:
    assert await answer_to(client, body) == {"uid": "705ab4f5", "allowed": True}
    assert results == ["ignored"]


async def test_a_pod_that_cannot_join_is_refused(client: Client, results: list[str]) -> None:
    response = await answer_to(client, review(a_pod(spec={"hostNetwork": True})))
    assert not response["allowed"]
    assert response["status"]["message"].startswith("hostNetwork: true")
    assert results == ["refused"]


@pytest.mark.parametrize("name", ["other", ""], ids=["unknown", "empty"])
async def test_a_pod_of_no_cluster_is_refused(client: Client, name: str) -> None:
    response = await answer_to(client, review(a_pod(cluster=name)))
    assert f'no SessionCluster "{name}" in namespace "web"' in response["status"]["message"]


async def test_a_cluster_that_is_being_deleted_is_none(client: Client, known: Known) -> None:
    cluster = structs.replace(a_cluster(), is_deleting=True)
    known.watched[cluster.key] = known.live[cluster.key] = cluster
    assert not (await answer_to(client, review(a_pod())))["allowed"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff", id="no text"),
        pytest.param(b"[" * 100_000, id="nested"),
        pytest.param({}, id="no review"),
        pytest.param({**review(a_pod()), "apiVersion": "admission.k8s.io/v1beta1"}, id="version"),
        pytest.param({**review(a_pod()), "kind": "Pod"}, id="kind"),
        pytest.param(review(a_pod(), uid=None), id="no uid"),
        pytest.param(review(a_pod(), kind={"kind": "Service"}), id="no pod"),
        pytest.param(review(None), id="no object"),
        pytest.param(review("pod"), id="a text"),
        pytest.param(review({"metadata": {}}), id="no spec"),
        pytest.param(review({"metadata": None, "spec": {}}), id="no metadata"),
    ],
)
async def test_a_malformed_review_is_400(
    client: Client, results: list[str], body: bytes | dict[str, Any]
) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with client.post("/inject", data=data) as response:
        assert response.status == 400
        assert "no AdmissionReview of a pod" in await response.text()
    assert results == ["failed"]


async def test_more_than_the_api_server_takes_is_refused_unread(client: Client) -> None:
    async with client.post("/inject", data=BytesIO(b" " * ((3 << 20) + 1))) as response:
        assert response.status == 413


async def test_a_large_pod_is_read(client: Client) -> None:
    pod = a_pod(annotations={"large": "x" * (1 << 19)})
    assert (await answer_to(client, review(pod)))["allowed"]


async def test_our_own_failure_is_500_for_the_failure_policy_to_decide(
    results: list[str],
) -> None:
    webhook = Webhook(Lookup(NotAllowed(), 1), SETTINGS, lambda result, _: results.append(result))
    async with (
        TestClient(TestServer(webhook.application())) as client,
        client.post("/inject", json=review(a_pod())) as response,
    ):
        assert response.status == 500
        assert "not allowed" not in await response.text()
    assert results == ["failed"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/inject"), ("POST", "/")])
async def test_nothing_else_is_served(client: Client, method: str, path: str) -> None:
    async with client.request(method, path) as response:
        assert response.status in {404, 405}
