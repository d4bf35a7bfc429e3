"""The kinds of objects that the operator reads or writes, and where the API server has them."""

from typing import Final

from moorline_api.model import GROUP, KIND, PLURAL, VERSION
from msgspec import Struct


class Kind(Struct, frozen=True):
    """A kind of objects, as `("batch/v1", "Job", "jobs")`."""

    api_version: str
    name: str
    plural: str

    @property
    def root(self) -> str:
        """The path that the kind's collections are below, as `/apis/batch/v1`."""
        is_core = "/" not in self.api_version
        return f"/{'api' if is_core else 'apis'}/{self.api_version}"


PODS: Final = Kind("v1", "Pod", "pods")
SECRETS: Final = Kind("v1", "Secret", "secrets")
CONFIG_MAPS: Final = Kind("v1", "ConfigMap", "configmaps")
JOBS: Final = Kind("batch/v1", "Job", "jobs")
CRON_JOBS: Final = Kind("batch/v1", "CronJob", "cronjobs")
LEASES: Final = Kind("coordination.k8s.io/v1", "Lease", "leases")
EVENTS: Final = Kind("events.k8s.io/v1", "Event", "events")
NETWORK_POLICIES: Final = Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
POD_MONITORS: Final = Kind("monitoring.coreos.com/v1", "PodMonitor", "podmonitors")
MUTATING_WEBHOOKS: Final = Kind(
    "admissionregistration.k8s.io/v1",
    "MutatingWebhookConfiguration",
    "mutatingwebhookconfigurations",
)
SESSION_CLUSTERS: Final = Kind(f"{GROUP}/{VERSION}", KIND, PLURAL)
