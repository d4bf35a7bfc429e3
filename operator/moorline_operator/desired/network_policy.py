"""The NetworkPolicy of purge and check pods.

It never selects pods of the application: one policy on a pod forbids all that no policy allows,
and what an application needs only its owner knows. What is useful is the other half. Nobody has
to reach a task, so nobody can. And in a namespace that forbids all egress by default the tasks
would not reach the backend, so they are allowed DNS, and TCP to anywhere: where the backend is
stands in a Secret that the operator does not read.
"""

from typing import Final

from moorline_operator import naming
from moorline_operator.cluster import Cluster
from moorline_operator.desired.child import Child, child
from moorline_operator.kube.kinds import NETWORK_POLICIES

_DNS: Final = 53


def network_policy(cluster: Cluster) -> Child:
    tasks = {
        "matchLabels": {naming.SESSION_CLUSTER: cluster.name},
        "matchExpressions": [{"key": naming.TASK, "operator": "Exists"}],
    }
    ports = [{"protocol": "UDP", "port": _DNS}, {"protocol": "TCP", "port": 1, "endPort": 65535}]
    spec = {
        "podSelector": tasks,
        "policyTypes": ["Ingress", "Egress"],
        "egress": [{"ports": ports}],
    }
    return child(NETWORK_POLICIES, cluster, naming.network_policy(cluster.name), spec=spec)
