"""The ConfigMap that sidecars and tasks read."""

import json

from moorline_operator import naming
from moorline_operator.cluster import Cluster
from moorline_operator.desired.child import Child, child
from moorline_operator.kube.kinds import CONFIG_MAPS


def config_map(cluster: Cluster) -> Child:
    """The spec verbatim, so that a sidecar newer than the operator misses nothing."""
    document = {
        "cluster": {"name": cluster.name, "namespace": cluster.namespace},
        "spec": cluster.raw_spec,
    }
    # Sorted, for the API server promises no order: the same spec is always the same text.
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False)
    name = naming.config_map(cluster.name)
    return child(CONFIG_MAPS, cluster, name, data={naming.CONFIG_FILE: f"{text}\n"})
