"""What the operator keeps of a pod that carries the label `moorline.io/cluster`."""

from collections.abc import Mapping
from sys import intern
from typing import Any, Final, TypedDict

from msgspec import Struct

from moorline_operator import naming

_FINISHED: Final = frozenset({"Succeeded", "Failed"})


_Labels = TypedDict(
    "_Labels",
    # Type checkers want the words themselves: naming.CLUSTER, naming.WORKER, naming.INJECTED.
    {"moorline.io/cluster": str, "moorline.io/worker": str, "pod-template-hash": str},
    total=False,
)
_Annotations = TypedDict("_Annotations", {"moorline.io/injected": str}, total=False)


class _Owner(TypedDict, total=False):
    kind: str
    name: str
    controller: bool


class _Named(TypedDict):
    name: str


class _Metadata(TypedDict, total=False):
    namespace: str
    name: str
    uid: str
    resourceVersion: str
    deletionTimestamp: str
    labels: _Labels
    annotations: _Annotations
    ownerReferences: list[_Owner]


class _Spec(TypedDict, total=False):
    initContainers: list[_Named]
    schedulingGates: list[_Named]


class _Container(TypedDict):
    name: str
    ready: bool


class _Condition(TypedDict):
    type: str
    status: str


class _Status(TypedDict, total=False):
    phase: str
    initContainerStatuses: list[_Container]
    conditions: list[_Condition]


class PodShape(TypedDict, total=False):
    """Of a pod as the API server sends it, what `record_of` reads: a tenth of its bytes.

    The rest is passed over and never becomes an object.
    """

    metadata: _Metadata
    spec: _Spec
    status: _Status


class PodRecord(Struct, frozen=True, kw_only=True):
    """The facts of one pod; a few hundred bytes.

    `worker` and `injected` are "" where the pod has none. `owner` is the controller, as
    `("Deployment", "web")`: a ReplicaSet of a Deployment counts as that. None without one.
    `ordinal` is that of a StatefulSet's pod. `gate` is the index of our gate in
    `spec.schedulingGates`.
    """

    namespace: str
    name: str
    uid: str
    cluster: str
    worker: str
    injected: str
    has_sidecar: bool
    gate: int | None
    owner: tuple[str, str] | None
    ordinal: int | None
    is_finished: bool
    is_ready: bool
    is_deleting: bool

    @property
    def is_live(self) -> bool:
        """Whether the pod may run, now or later."""
        return not self.is_finished

    @property
    def wants_name(self) -> bool:
        return self.gate is not None and self.is_live and not self.is_deleting


def record_of(pod: Mapping[str, Any]) -> PodRecord:
    """The record of a pod as the API server sends it."""
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status", {})
    labels, annotations = metadata.get("labels", {}), metadata.get("annotations", {})
    # Thousands of pods have these texts in common: each is kept once.
    return PodRecord(
        namespace=intern(metadata["namespace"]),
        name=metadata["name"],
        uid=metadata["uid"],
        cluster=intern(labels.get(naming.CLUSTER, "")),
        worker=intern(labels.get(naming.WORKER, "")),
        injected=intern(annotations.get(naming.INJECTED, "")),
        has_sidecar=_has_sidecar(spec),
        gate=_gate(spec),
        owner=_owner(metadata),
        ordinal=_ordinal(metadata),
        is_finished=status.get("phase") in _FINISHED,
        is_ready=_is_ready(status),
        is_deleting="deletionTimestamp" in metadata,
    )


def _has_sidecar(spec: Mapping[str, Any]) -> bool:
    return any(
        container["name"] == naming.CONTAINER for container in spec.get("initContainers", ())
    )


def _gate(spec: Mapping[str, Any]) -> int | None:
    names = [gate["name"] for gate in spec.get("schedulingGates", ())]
    return names.index(naming.GATE) if naming.GATE in names else None


def _controller(metadata: Mapping[str, Any]) -> Mapping[str, Any] | None:
    owners = metadata.get("ownerReferences", ())
    return next((owner for owner in owners if owner.get("controller")), None)


def _owner(metadata: Mapping[str, Any]) -> tuple[str, str] | None:
    controller = _controller(metadata)
    if controller is None:
        return None
    kind, name = controller["kind"], controller["name"]
    template_hash = metadata.get("labels", {}).get("pod-template-hash")
    if kind == "ReplicaSet" and template_hash and name.endswith(f"-{template_hash}"):
        return "Deployment", intern(name.removesuffix(f"-{template_hash}"))
    return intern(kind), intern(name)


def _ordinal(metadata: Mapping[str, Any]) -> int | None:
    controller = _controller(metadata)
    if controller is None or controller["kind"] != "StatefulSet":
        return None
    digits = metadata["name"].removeprefix(f"{controller['name']}-")
    return int(digits) if digits.isdecimal() else None


def _is_ready(status: Mapping[str, Any]) -> bool:
    """Whether the sidecar is ready; before the kubelet has told of it, whether the pod is."""
    for container in status.get("initContainerStatuses", ()):
        if container["name"] == naming.CONTAINER:
            return bool(container["ready"])
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in status.get("conditions", ())
    )
