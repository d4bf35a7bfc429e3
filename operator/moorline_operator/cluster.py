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


def cluster_of(obj: Mapping[str, Any], known: Cluster | None = None) -> Cluster:
    """The cluster that an object of the API server describes.

    It is `known` itself where that says the same: to read a spec takes a millisecond, and most of
    what is seen of a SessionCluster is its status.

    Raises:
        InvalidSpec: the API server holds a spec that this operator cannot read, as with a
            CustomResourceDefinition that is not Moorline's own.
    """
    metadata, spec = obj["metadata"], obj.get("spec") or {}
    # Another CustomResourceDefinition may have other defaults for the same generation.
    spec_of = known.spec if known is not None and known.raw_spec == spec else None
    found = Cluster(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata.get("generation", 1),
        # Of a newer CustomResourceDefinition, in the middle of an upgrade.
        spec=decode_spec(spec, allow_unknown=True) if spec_of is None else spec_of,
        raw_spec=spec,
        annotations=metadata.get("annotations", {}),
        is_deleting="deletionTimestamp" in metadata,
    )
    return known if known is not None and found == known else found
