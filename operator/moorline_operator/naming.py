"""The names that people, sidecars and other software meet: labels, annotations and objects.

They are a contract: a name once released keeps its meaning.
"""

import hashlib
from typing import Final

FIELD_MANAGER: Final = "moorline-operator"
CONTAINER: Final = "moorline"

CLUSTER: Final = "moorline.io/cluster"
"""Label of a pod: the SessionCluster it belongs to. Label of a Lease: the one it names for."""

WORKER: Final = "moorline.io/worker"
"""Label of a pod: its worker name."""

GATE: Final = "moorline.io/worker-name"
"""Scheduling gate of a pod that has no worker name yet."""

INJECTED: Final = "moorline.io/injected"
"""Annotation of a pod: a hash of what was injected into it."""

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGER: Final = "moorline"

SESSION_CLUSTER: Final = "moorline.io/sessioncluster"
"""Label of a child, and of its pods: the SessionCluster it was made for. Never `CLUSTER`: pods
with that would be injected."""

CHILDREN: Final = f"{MANAGED_BY}={MANAGER},{SESSION_CLUSTER}"
"""The label selector of all children, of whichever SessionCluster."""

TASK: Final = "moorline.io/task"
"""Label of a Job and its pods: `purge` or `check`."""

PURGE_TASK: Final = "purge"
CHECK_TASK: Final = "check"

CHECKED: Final = "moorline.io/checked"
"""Annotation of a check's Job: the fingerprint of what it checks."""

ATTEMPT: Final = "moorline.io/attempt"
"""Annotation of a check's Job: how many of the same fingerprint were before it."""

HEALTH_PORT: Final = "moorline-health"
"""The name of the sidecar's port with its probes and metrics."""

PURGE_NOW: Final = "moorline.io/purge-now"
"""Annotation of a SessionCluster: a token; a new one runs a purge at once."""

CHECK_NOW: Final = "moorline.io/check-now"
"""Annotation of a SessionCluster: a token; a new one checks the backend at once."""

CONFIG_FILE: Final = "cluster.json"
"""The key of the ConfigMap, and so the file's name in the sidecar."""


def config_map(cluster: str) -> str:
    return f"{cluster}-moorline"


def purge_cron_job(cluster: str) -> str:
    return f"{cluster}-moorline-purge"


def purge_job(cluster: str, token: str) -> str:
    """The Job of one `PURGE_NOW`; the same token always gives the same name."""
    return f"{cluster}-moorline-purge-{short_hash(token)}"


def check_job(cluster: str, fingerprint: str) -> str:
    """The Job of one check; the same fingerprint always gives the same name."""
    return f"{cluster}-moorline-check-{short_hash(fingerprint)}"


def lease(cluster: str, worker: str) -> str:
    """The Lease that holds a worker name for a pod."""
    return f"moorline-{cluster}-{worker}"


def pod_monitor(cluster: str) -> str:
    return f"{cluster}-moorline"


def network_policy(cluster: str) -> str:
    return f"{cluster}-moorline"


def short_hash(text: str) -> str:
    """Eight hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]
