"""Sees every change at the API server, and says what must never be so."""

from collections import Counter

from moorline_operator import naming
from moorline_operator.kube.api import KubeObject
from moorline_operator.kube.kinds import LEASES, PODS
from moorline_operator.pods import PodRecord, record_of

from tests.operator.workers.simulated_api import SimulatedApi


class Referee:
    """`faults` is what was wrong at any moment; `orphaned` are Leases that people deleted."""

    def __init__(self, api: SimulatedApi) -> None:
        self._api = api
        self.faults: list[str] = []
        self.orphaned: set[str] = set()
        api.changed.append(self._see)

    def pods(self) -> list[PodRecord]:
        return [record_of(pod) for pod in self._api.seen(PODS)]

    def leases(self) -> dict[str, str]:
        """The UID of each Lease's holder, which is its owner."""
        found = {}
        for lease in self._api.seen(LEASES):
            (owner,) = lease["metadata"]["ownerReferences"]
            assert owner["uid"] == lease["spec"]["holderIdentity"]
            found[lease["metadata"]["name"]] = owner["uid"]
        return found

    def _see(self, event: str, obj: KubeObject) -> None:
        pods = [pod for pod in self.pods() if pod.is_live and pod.worker]
        shared = Counter((pod.cluster, pod.worker) for pod in pods)
        for name, count in shared.items():
            if count > 1:
                self.faults.append(f"{count} live pods are {name}")
        leases = self.leases()
        for pod in pods:
            lease = naming.lease(pod.cluster, pod.worker)
            if leases.get(lease) != pod.uid and lease not in self.orphaned:
                self.faults.append(f"{event} {obj['kind']}: {pod.name} has no Lease {lease}")
