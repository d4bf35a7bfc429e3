"""The PodMonitor of the Prometheus Operator, which scrapes the sidecars."""

from moorline_operator import naming
from moorline_operator.cluster import Cluster
from moorline_operator.desired.child import Child, child
from moorline_operator.kube.kinds import POD_MONITORS


def pod_monitor(cluster: Cluster) -> Child:
    spec = {
        "selector": {"matchLabels": {naming.CLUSTER: cluster.name}},
        "podTargetLabels": [naming.CLUSTER, naming.WORKER],
        "podMetricsEndpoints": [{"port": naming.HEALTH_PORT, "path": "/metrics"}],
    }
    return child(POD_MONITORS, cluster, naming.pod_monitor(cluster.name), spec=spec)
