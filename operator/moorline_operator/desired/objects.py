"""The children that are there as long as they are wanted."""

from moorline_operator.cluster import Cluster
from moorline_operator.desired.child import Child
from moorline_operator.desired.config_map import config_map
from moorline_operator.desired.network_policy import network_policy
from moorline_operator.desired.pod_monitor import pod_monitor
from moorline_operator.desired.purge_cron_job import purge_cron_job
from moorline_operator.settings import InjectionSettings


def desired_objects(cluster: Cluster, settings: InjectionSettings) -> list[Child]:
    """All of them, the ConfigMap first: the others' pods mount it."""
    children = [config_map(cluster), purge_cron_job(cluster, settings)]
    if cluster.spec.monitoring.network_policy:
        children.append(network_policy(cluster))
    if cluster.spec.monitoring.pod_monitor:
        # Last: where its kind is unknown it cannot be written, and the others should be.
        children.append(pod_monitor(cluster))
    return children
