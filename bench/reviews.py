"""Questions to the webhook as the API server asks them, and a look at its answers."""

from __future__ import annotations

import base64
import contextlib
import random
import uuid
from http.client import HTTPConnection
from typing import Any, Final

import msgspec
from moorline_operator import naming
from moorline_operator.kube.api import Kube, KubeObject
from moorline_operator.kube.kinds import PODS

from bench.clients.connection import secured
from bench.errors import BenchError
from bench.shots import Shot
from bench.workload import pod

PATH: Final = "/inject"
HEADERS: Final = ("Content-Type: application/json",)
OK: Final = 200


async def drawn_review(
    kube: Kube, where: tuple[str, str], number: int, chance: random.Random
) -> str:
    """About a pod of a namespace and SessionCluster, with all that the API server adds to it."""
    namespace, cluster = where
    drawn = pod(namespace, f"{cluster}-5d4f8c7b9-{number:05d}", cluster, chance)
    labels = drawn["metadata"].pop("labels")
    # Without its label nobody is asked about it yet.
    made = await kube.create(PODS, drawn, is_dry_run=True)
    made["metadata"]["labels"] = labels
    del made["metadata"]["uid"], made["metadata"]["creationTimestamp"]
    return msgspec.json.encode(_review(made, chance)).decode()


def _review(made: KubeObject, chance: random.Random) -> dict[str, Any]:
    resource = {"group": "", "version": "v1", "resource": "pods"}
    kind = {"group": "", "version": "v1", "kind": "Pod"}
    account = "system:serviceaccount:kube-system:replicaset-controller"
    return {
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": str(uuid.UUID(int=chance.getrandbits(128))),
            "kind": kind,
            "resource": resource,
            "requestKind": kind,
            "requestResource": resource,
            "name": made["metadata"]["name"],
            "namespace": made["metadata"]["namespace"],
            "operation": "CREATE",
            "userInfo": {"username": account, "groups": ["system:serviceaccounts"]},
            "object": {**made, "apiVersion": "v1", "kind": "Pod"},
            "oldObject": None,
            "dryRun": False,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    }


def answer(address: str, review: str) -> bytes:
    """What is answered over a connection of its own.

    Raises:
        BenchError: anything but 200.
    """
    http = HTTPConnection("localhost")
    with contextlib.closing(http):
        http.sock = secured(address)
        http.request("POST", PATH, review.encode(), {"Content-Type": "application/json"})
        told = http.getresponse()
        body = told.read()
    if told.status != OK:
        raise BenchError(f"the webhook answered {told.status}: {body[:300]!r}")
    return body


def shot(review: str, body: bytes) -> Shot:
    """The question as a request, to be answered as it was before."""
    return Shot(PATH, len(body), None, HEADERS, "POST", review)


def refuse_a_bare_pod(review: str, body: bytes) -> None:
    """See that the answer injects the sidecar and the gate, into the pod that was asked about.

    Raises:
        BenchError: it does not.
    """
    asked = msgspec.json.decode(review)["request"]
    told = msgspec.json.decode(body)["response"]
    patch = msgspec.json.decode(base64.b64decode(told.get("patch", "W10=")))
    added = {change["path"]: change["value"] for change in patch}
    names = [container["name"] for container in added.get("/spec/initContainers", ())]
    gates = [gate["name"] for gate in added.get("/spec/schedulingGates", ())]
    is_right = told["allowed"] and told["uid"] == asked["uid"]
    if not is_right or naming.CONTAINER not in names or naming.GATE not in gates:
        raise BenchError(f"the webhook did not inject {asked['name']}: {body[:300]!r}")
