"""The Job of a check: whether the backend is in reach, and if not, why.

One Job an attempt. It stays when it has ended, for its result is all that is known of the
backend; a later attempt takes its place.
"""

from typing import Final

import msgspec

from moorline_operator import naming
from moorline_operator.cluster import Cluster
from moorline_operator.container import image_of
from moorline_operator.desired.child import KubeObject, child, labels
from moorline_operator.desired.task_pod import task_pod
from moorline_operator.kube.kinds import JOBS
from moorline_operator.settings import InjectionSettings

DEADLINE_SECONDS: Final = 120
"""The image may have to be pulled; the check itself takes at most half a minute."""


def check_job(
    cluster: Cluster, settings: InjectionSettings, attempt: int, fingerprint: str
) -> KubeObject:
    """The Job to create for an attempt, counted from 0, at what `fingerprint` stands for."""
    spec = {
        "activeDeadlineSeconds": DEADLINE_SECONDS,
        # Another attempt is another Job, later.
        "backoffLimit": 0,
        "template": task_pod(cluster, settings, naming.CHECK_TASK, ()),
    }
    name = naming.check_job(cluster.name, f"{fingerprint}/{attempt}")
    job = child(JOBS, cluster, name, spec=spec).obj
    job["metadata"]["labels"] = labels(cluster, naming.CHECK_TASK)
    job["metadata"]["annotations"] = {naming.CHECKED: fingerprint, naming.ATTEMPT: str(attempt)}
    return job


def check_fingerprint(cluster: Cluster, settings: InjectionSettings) -> str:
    """What calls for a new check when it changes: the backend, the image, the `CHECK_NOW` token."""
    facts = [
        cluster.raw_spec["backend"],
        image_of(cluster, settings),
        cluster.annotations.get(naming.CHECK_NOW, ""),
    ]
    return naming.short_hash(msgspec.json.encode(facts, order="sorted").decode())
