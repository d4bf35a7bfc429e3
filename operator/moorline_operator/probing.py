"""Whether the API server asks the webhook, as a user of the cluster finds it."""

from typing import Final

from moorline_operator import naming
from moorline_operator.errors import Forbidden, KubeError
from moorline_operator.kube.api import Kube
from moorline_operator.kube.kinds import PODS

UNKNOWN: Final = "moorline-probe-of-a-cluster-that-is-not-there"
"""Longer than a SessionCluster's name may be, so that there never is one."""


async def webhook_fault(kube: Kube, namespace: str) -> str | None:
    """What is wrong, or None: a pod of an unknown SessionCluster was refused by the webhook."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "moorline-probe-",
            "namespace": namespace,
            "labels": {naming.CLUSTER: UNKNOWN},
        },
        "spec": {"containers": [{"name": "probe", "image": "probe"}]},
    }
    try:
        await kube.create(PODS, pod, is_dry_run=True)
    except Forbidden as error:
        return None if UNKNOWN in error.detail and "SessionCluster" in error.detail else str(error)
    except KubeError as error:
        return f"the webhook does not answer: {error}"
    return (
        "a pod with the label was not refused: the webhook is not asked. See whether its "
        "MutatingWebhookConfiguration is there, and whether it selects this namespace"
    )
