"""What the API server says when an account tries to write something; nothing is ever written."""

import json
from http import HTTPStatus
from typing import Any, Final

from moorline_operator.kube.kinds import CONFIG_MAPS, JOBS, LEASES, PODS, Kind

from tests.charts.gateway import Gateway
from tests.charts.releases import KubeObject, Release, eventually

GATE: Final = {"name": "moorline.io/worker-name"}


def plain(kind: str, api_version: str, name: str, **body: Any) -> KubeObject:  # noqa: ANN401 - JSON
    """An object with nothing but a name."""
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **body}


def pod(name: str, *gates: KubeObject, **labels: str) -> KubeObject:
    """A pod whose labels' prefix is left out: `cluster="shop"`."""
    found = plain("Pod", "v1", name)
    found["metadata"]["labels"] = {f"moorline.io/{key}": value for key, value in labels.items()}
    found["spec"] = {"containers": [{"name": "app", "image": "app"}], "schedulingGates": [*gates]}
    return found


class Account:
    """Somebody who writes, in the namespace of a release or another; without a name cluster-admin.

    Every method returns what the API server objects to, empty if it does not.
    """

    def __init__(self, gate: Gateway, namespace: str, user: str = "") -> None:
        self._gate = gate
        self._namespace = namespace
        self._headers = {"Impersonate-User": user} if user else {}

    def create(self, kind: Kind, obj: KubeObject) -> str:
        return self._said("POST", kind, "", obj)

    def apply(self, kind: Kind, obj: KubeObject) -> str:
        path = f"{obj['metadata']['name']}?fieldManager=test&force=true"
        return self._said("PATCH", kind, path, obj, "apply-patch+yaml")

    def patch(self, kind: Kind, name: str, patch: Any) -> str:  # noqa: ANN401 - JSON
        """A JSON patch if `patch` is a list, else a merge patch; `name` may end in `/status`."""
        how = "json-patch+json" if isinstance(patch, list) else "merge-patch+json"
        return self._said("PATCH", kind, name, patch, how)

    def delete(self, kind: Kind, name: str) -> str:
        # With a body, the API server reads nothing but the body.
        return self._said("DELETE", kind, name, {"dryRun": ["All"]})

    def _said(
        self,
        method: str,
        kind: Kind,
        name: str,
        body: Any,  # noqa: ANN401 - JSON
        content_type: str = "json",
    ) -> str:
        path = f"{kind.root}/namespaces/{self._namespace}/{kind.plural}/{name}".rstrip("/")
        dry = f"{path}{'&' if '?' in path else '?'}dryRun=All"
        headers = {**self._headers, "Content-Type": f"application/{content_type}"}
        status, answer = self._gate.request(method, dry, json.dumps(body), headers)
        return "" if status < HTTPStatus.BAD_REQUEST else str(answer["message"])


def wait_for_policies(gate: Gateway, release: Release, unlabelled_pod: str) -> None:
    """Until the API server asks all of them: it looks for new ones once a second."""
    operator = Account(gate, release.namespace, release.user)
    admin = Account(gate, release.namespace)
    template = {"spec": {"containers": pod("x")["spec"]["containers"], "restartPolicy": "Never"}}
    job = plain("Job", "batch/v1", "shop-moorline-x", spec={"template": template})
    # Or another policy refuses it: the API server tells of the first only.
    job["metadata"]["ownerReferences"] = [
        {"apiVersion": "moorline.io/v1alpha1", "kind": "SessionCluster", "name": "shop", "uid": "u"}
    ]

    def are_in_force() -> bool:
        return (
            ".leases'" in operator.create(LEASES, plain("Lease", LEASES.api_version, "x"))
            and ".children'" in operator.create(CONFIG_MAPS, plain("ConfigMap", "v1", "x"))
            and ".tasks'" in operator.create(JOBS, job)
            and ".pods'" in operator.patch(PODS, unlabelled_pod, _ANNOTATED)
            and ".names'" in admin.create(PODS, pod("x", worker="node1"))
        )

    eventually(are_in_force)


_ANNOTATED: Final = {"metadata": {"annotations": {"a": "b"}}}
