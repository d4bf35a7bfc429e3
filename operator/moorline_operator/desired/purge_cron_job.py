"""The CronJob that purges by itself, with the operator or without."""

from typing import Final

from moorline_operator import naming
from moorline_operator.cluster import Cluster
from moorline_operator.container import data_folder
from moorline_operator.desired.child import Child, child, labels
from moorline_operator.desired.purge_job import purge_job_spec
from moorline_operator.desired.schedules import spread
from moorline_operator.kube.kinds import CRON_JOBS
from moorline_operator.settings import InjectionSettings

LATEST_START_SECONDS: Final = 3_600
"""How late a run may start. Without a bound, a CronJob that missed 100 never starts again."""

KEPT_RUNS: Final = 1
"""Of those that succeeded, and of those that failed: the last one tells all."""


def purge_cron_job(cluster: Cluster, settings: InjectionSettings) -> Child:
    purge = cluster.spec.purge
    template = {
        "metadata": {"labels": labels(cluster, naming.PURGE_TASK)},
        "spec": purge_job_spec(cluster, settings),
    }
    spec = {
        "schedule": spread(purge.schedule, cluster.uid),
        "timeZone": purge.time_zone,
        # What lies on volumes of pods is out of its reach.
        "suspend": purge.suspend or data_folder(cluster.spec.backend) is not None,
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": LATEST_START_SECONDS,
        "successfulJobsHistoryLimit": KEPT_RUNS,
        "failedJobsHistoryLimit": KEPT_RUNS,
        "jobTemplate": template,
    }
    return child(CRON_JOBS, cluster, naming.purge_cron_job(cluster.name), spec=spec)
