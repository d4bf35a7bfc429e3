"""The requests by which a pod gets its name. Between any two of them the operator may die.

1. The Lease of the name is created, or taken over from a pod that needs it no more: the API
   server lets one of many do that.
2. One patch labels the pod and removes its gate, if it still is that pod and has that gate.

A Lease without a labelled pod is found again by the pod's UID; a label without a Lease cannot be.
The Lease's owner is the pod, so that the garbage collector frees the name without the operator.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

from moorline_operator import naming
from moorline_operator.errors import AlreadyExists, Conflict, NotFound
from moorline_operator.kube.api import KubeObject
from moorline_operator.kube.kinds import LEASES, PODS, Kind
from moorline_operator.pods import PodRecord, record_of

_ROUNDS: Final = 5
"""How often a Lease may change under our hands before it is left alone for a while."""


class Api(Protocol):
    """What of the API server is needed here."""

    async def get(self, kind: Kind, namespace: str, name: str) -> KubeObject: ...

    async def create(self, kind: Kind, obj: KubeObject) -> KubeObject: ...

    async def json_patch(
        self, kind: Kind, namespace: str, name: str, operations: Sequence[Mapping[str, Any]]
    ) -> KubeObject: ...

    async def delete(
        self, kind: Kind, namespace: str, name: str, *, uid: str = "", resource_version: str = ""
    ) -> None: ...


async def claim(api: Api, pod: PodRecord, worker: str) -> bool:
    """Make the name's Lease the pod's; False if another pod needs it, or nobody can tell.

    Raises:
        Conflict: others write that Lease all the time.
        KubeError: whether it is the pod's is unknown: claim it again.
    """
    for _ in range(_ROUNDS):
        with suppress(AlreadyExists):
            await api.create(LEASES, lease_of(pod, worker))
            return True
        with suppress(NotFound, Conflict):
            lease = await api.get(LEASES, pod.namespace, naming.lease(pod.cluster, worker))
            owner = _owner(lease)
            if owner is not None and owner["uid"] == pod.uid:
                return True
            if owner is None or await _is_needed(api, pod, owner, worker):
                return False
            # Not replaced: a garbage collector that has seen the old owner go may be about to
            # delete it, and before Kubernetes 1.33 it looks at the UID alone.
            await _delete(api, lease)
    raise Conflict(f"claim {naming.lease(pod.cluster, worker)}", "others keep changing the Lease")


async def label(api: Api, pod: PodRecord, worker: str) -> None:
    """Label the pod and let it be scheduled.

    Raises:
        NotFound: it is gone.
        Invalid: it is another pod of that name, has no such gate there, or was refused.
    """
    await api.json_patch(PODS, pod.namespace, pod.name, _patch(pod, worker))


async def reread(api: Api, pod: PodRecord) -> PodRecord | None:
    """The same pod as it is now; None if it is gone."""
    try:
        found = record_of(await api.get(PODS, pod.namespace, pod.name))
    except NotFound:
        return None
    return found if found.uid == pod.uid else None


async def give_back(api: Api, pod: PodRecord, worker: str) -> None:
    """Delete the name's Lease if it is the pod's."""
    with suppress(NotFound, Conflict):
        lease = await api.get(LEASES, pod.namespace, naming.lease(pod.cluster, worker))
        if holder_of(lease) == pod.uid:
            await _delete(api, lease)


def lease_of(pod: PodRecord, worker: str) -> KubeObject:
    """The Lease by which a pod holds a name; `holderIdentity` is the pod's UID."""
    return {
        "apiVersion": LEASES.api_version,
        "kind": LEASES.name,
        "metadata": {
            "name": naming.lease(pod.cluster, worker),
            "namespace": pod.namespace,
            "labels": {naming.CLUSTER: pod.cluster, naming.MANAGED_BY: naming.MANAGER},
            "ownerReferences": [
                {
                    "apiVersion": PODS.api_version,
                    "kind": PODS.name,
                    "name": pod.name,
                    "uid": pod.uid,
                }
            ],
        },
        "spec": {"holderIdentity": pod.uid},
    }


def holder_of(lease: KubeObject) -> str:
    """The UID of the pod that has the Lease, or ""."""
    uid: str = lease.get("spec", {}).get("holderIdentity") or ""
    return uid


def worker_of(lease: KubeObject) -> tuple[str, str] | None:
    """The SessionCluster and the worker name that a Lease is for; None for other Leases."""
    metadata = lease["metadata"]
    cluster = metadata.get("labels", {}).get(naming.CLUSTER, "")
    prefix = naming.lease(cluster, "")
    worker = metadata["name"].removeprefix(prefix)
    return (cluster, worker) if metadata["name"].startswith(prefix) and worker else None


async def _delete(api: Api, lease: KubeObject) -> None:
    """Delete the Lease if it is as it was read."""
    metadata = lease["metadata"]
    await api.delete(
        LEASES,
        metadata["namespace"],
        metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
    )


def _owner(lease: KubeObject) -> Mapping[str, Any] | None:
    """The owner that is the holder. A Lease without one was not made here: hands off."""
    owners = lease["metadata"].get("ownerReferences", ())
    holder = holder_of(lease)
    return next(
        (owner for owner in owners if owner["kind"] == PODS.name and owner["uid"] == holder), None
    )


async def _is_needed(api: Api, pod: PodRecord, owner: Mapping[str, Any], worker: str) -> bool:
    """Whether the owner has the name that the pod wants, or may be about to get it.

    A "no" stays true: a pod that is gone or finished does not return, and one that is past its
    gate with another name is not named again.
    """
    try:
        found = record_of(await api.get(PODS, pod.namespace, owner["name"]))
    except NotFound:
        return False
    if found.uid != owner["uid"] or not found.is_live or found.cluster != pod.cluster:
        return False
    return found.gate is not None or found.worker in ("", worker)


def _patch(pod: PodRecord, worker: str) -> list[dict[str, Any]]:
    gate = f"/spec/schedulingGates/{pod.gate}"
    labels = "/metadata/labels/"
    return [
        {"op": "test", "path": "/metadata/uid", "value": pod.uid},
        {"op": "test", "path": gate, "value": {"name": naming.GATE}},
        # It is the pod of another cluster by now if somebody changed the label.
        {"op": "test", "path": labels + _escaped(naming.CLUSTER), "value": pod.cluster},
        {"op": "add", "path": labels + _escaped(naming.WORKER), "value": worker},
        {"op": "remove", "path": gate},
    ]


def _escaped(key: str) -> str:
    """A key as part of a JSON pointer, RFC 6901 3."""
    return key.replace("~", "~0").replace("/", "~1")
