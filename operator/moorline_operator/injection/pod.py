"""`inject`: the pod as it is to be."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from moorline_operator import naming
from moorline_operator.cluster import Cluster
from moorline_operator.injection.offer import given, offer_by, offer_of
from moorline_operator.injection.refusals import refuse_what_cannot_join, refuse_without_volume
from moorline_operator.injection.sidecar import (
    DATA_PORT,
    GRACE_SECONDS,
    sidecar_in,
    sidecar_of,
)
from moorline_operator.injection.volumes import FOLDERS, JOURNAL_FOLDER, volumes_of
from moorline_operator.settings import InjectionSettings

_OURS: Final = frozenset(FOLDERS)
_TAKEN: Final = frozenset(FOLDERS.values()) - {JOURNAL_FOLDER}
"""The journal makes way."""


def inject(pod: dict[str, Any], cluster: Cluster, settings: InjectionSettings) -> dict[str, Any]:
    """The pod with the cluster's sidecar; `pod` itself stays as it is.

    Injecting twice is injecting once. A sidecar that is there already is replaced, with all that
    came with it: other webhooks may have changed the pod in between.

    Raises:
        Refused: it cannot have one.
    """
    earlier = sidecar_in(pod)
    bare = pod if earlier is None else _without(pod, earlier)
    sidecar = cluster.spec.sidecar
    refuse_what_cannot_join(
        bare,
        ports={
            sidecar.port: "spec.sidecar.port",
            sidecar.health_port: "spec.sidecar.healthPort",
            sidecar.ops_port: "spec.sidecar.opsPort",
        },
        volumes=_OURS,
    )
    refuse_without_volume(bare, cluster.spec.backend, _TAKEN)
    metadata, spec = bare["metadata"], bare["spec"]
    offer, outdated = offer_of(sidecar), offer_by(earlier, DATA_PORT)
    before, after = _around(spec.get("initContainers") or (), settings.mesh_containers)
    grace = spec.get("terminationGracePeriodSeconds")
    container = sidecar_of(cluster, settings, GRACE_SECONDS if grace is None else grace)
    annotations = metadata.get("annotations") or {}
    return {
        **bare,
        "metadata": {
            **metadata,
            "annotations": {**annotations, naming.INJECTED: fingerprint(cluster, settings)},
        },
        "spec": {
            **spec,
            "initContainers": [
                *before,
                container,
                *(given(other, offer, outdated) for other in after),
            ],
            "containers": [
                other
                if other["name"] in settings.mesh_containers
                else given(other, offer, outdated)
                for other in spec.get("containers") or ()
            ],
            "volumes": [*(spec.get("volumes") or ()), *volumes_of(cluster)],
            "schedulingGates": _gated(spec.get("schedulingGates") or ()),
        },
    }


def fingerprint(cluster: Cluster, settings: InjectionSettings) -> str:
    """What `moorline.io/injected` says of every pod that is injected now, whatever pod it is.

    It changes with everything that a running sidecar cannot follow: its container, its volumes,
    what the application was told, and what it reads of its configuration only when it starts.
    """
    spec = cluster.spec
    content = (
        sidecar_of(cluster, settings),
        volumes_of(cluster),
        offer_of(spec.sidecar),
        (spec.backend, spec.sessions.store_ids, spec.cache.mode, spec.sidecar.trace_ratio),
    )
    encoded = msgspec.json.encode(content, order="deterministic")
    return hashlib.sha256(encoded).hexdigest()[:16]


def _without(pod: dict[str, Any], earlier: Mapping[str, Any]) -> dict[str, Any]:
    """The pod without its sidecar and the volumes; what applications got is left to `given`."""
    spec = pod["spec"]
    others = [other for other in spec["initContainers"] if other is not earlier]
    volumes = [volume for volume in spec.get("volumes") or () if volume["name"] not in _OURS]
    return {**pod, "spec": {**spec, "initContainers": others, "volumes": volumes}}


def _around(
    containers: Sequence[dict[str, Any]], mesh: Sequence[str]
) -> tuple[Sequence[dict[str, Any]], Sequence[dict[str, Any]]]:
    """The init containers before the sidecar, and those after it."""
    last = max((at for at, other in enumerate(containers) if other["name"] in mesh), default=-1)
    return containers[: last + 1], containers[last + 1 :]


def _gated(gates: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    if any(gate["name"] == naming.GATE for gate in gates):
        return list(gates)
    return [*gates, {"name": naming.GATE}]
