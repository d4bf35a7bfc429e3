"""A SessionCluster as the operator works with it."""

from collections.abc import Mapping
from typing import Any

from moorline_api.decoding import decode_spec
from moorline_api.model import SessionClusterSpec
from msgspec import Struct


class Cluster(Struct, frozen=True, kw_only=True):
    """One generation of a SessionCluster.

    `raw_spec` is the spec as the API server has it, with what a newer operator may know.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    spec: SessionClusterSpec
    raw_spec: Mapping[str, Any]
    annotations: Mapping[str, str]
    is_deleting: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """Its namespace and name."""
        return self.namespace, self.name


def cluster_of(obj: Mapping[str, Any]) -> Cluster:
    """The cluster that an object of the API server describes.

    Raises:
        InvalidSpec: the API server holds a spec that this operator cannot read, as with a
            CustomResourceDefinition that is not Moorline's own.
    """
    metadata, spec = obj["metadata"], obj.get("spec") or {}
    return Cluster(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata.get("generation", 1),
        # Of a newer CustomResourceDefinition, in the middle of an upgrade.
        spec=decode_spec(spec, allow_unknown=True),
        raw_spec=spec,
        annotations=metadata.get("annotations", {}),
        is_deleting="deletionTimestamp" in metadata,
    )
