"""The Job of a purge: what the CronJob makes, and the one that `moorline.io/purge-now` asks for."""

from typing import Final

from moorline_operator import naming
from moorline_operator.cluster import Cluster
from moorline_operator.desired.child import KubeObject, child, labels
from moorline_operator.desired.task_pod import WRONG_CONFIGURATION, task_pod
from moorline_operator.kube.kinds import JOBS
from moorline_operator.settings import InjectionSettings

DEADLINE_SECONDS: Final = 3_600
"""From the start of the Job to its end, whatever its pod does."""

FINISH_SECONDS: Final = 30
"""What a purge leaves of its deadline, to end by itself and to tell what it did."""

RETRIES: Final = 2
KEPT_SECONDS: Final = 86_400
"""A day, to look at what was asked for by hand. The CronJob's own are kept by number."""


def purge_job(cluster: Cluster, settings: InjectionSettings, token: str) -> KubeObject:
    """The Job to create for a token; the same token always gives the same name."""
    name = naming.purge_job(cluster.name, token)
    spec = {**purge_job_spec(cluster, settings), "ttlSecondsAfterFinished": KEPT_SECONDS}
    job = child(JOBS, cluster, name, spec=spec).obj
    job["metadata"]["labels"] = labels(cluster, naming.PURGE_TASK)
    return job


def purge_job_spec(cluster: Cluster, settings: InjectionSettings) -> KubeObject:
    time_limit = DEADLINE_SECONDS - FINISH_SECONDS
    arguments = ["--time-limit", str(time_limit)]
    return {
        "activeDeadlineSeconds": DEADLINE_SECONDS,
        "backoffLimit": RETRIES,
        # A second pod while the first still ends would purge beside it.
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {"rules": [_given_up_on(), _not_its_fault()]},
        "template": task_pod(cluster, settings, naming.PURGE_TASK, arguments),
    }


def _given_up_on() -> KubeObject:
    codes = {
        "containerName": naming.CONTAINER,
        "operator": "In",
        "values": [WRONG_CONFIGURATION],
    }
    return {"action": "FailJob", "onExitCodes": codes}


def _not_its_fault() -> KubeObject:
    """A drained node is no failure of the purge."""
    return {
        "action": "Ignore",
        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
    }
