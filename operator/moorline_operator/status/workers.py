"""What the pods of a SessionCluster tell: counts, WorkersReady and SidecarsUpToDate."""

from collections.abc import Iterable

from moorline_api.status import WorkersStatus

from moorline_operator.pods import PodRecord
from moorline_operator.status.facts import Finding, bad, good
from moorline_operator.status.workloads import cure


def live(pods: Iterable[PodRecord]) -> list[PodRecord]:
    """Those that count: as in a Deployment, one that is being deleted does not."""
    return [pod for pod in pods if pod.is_live and not pod.is_deleting]


def workers_status(pods: list[PodRecord], injected: str) -> WorkersStatus:
    """The counts of live pods; `injected` is "" where it is not known who is outdated."""
    ready = sum(map(_is_ready, pods))
    return WorkersStatus(
        selected=len(pods),
        named=sum(bool(pod.worker) for pod in pods),
        ready=ready,
        summary=f"{ready}/{len(pods)}",
        outdated=len(outdated(pods, injected)),
        missing=sum(not pod.has_sidecar or not pod.worker for pod in pods),
    )


def outdated(pods: Iterable[PodRecord], injected: str) -> list[PodRecord]:
    """Those whose sidecar is not what a new pod would get."""
    if not injected:
        return []
    return [pod for pod in pods if pod.has_sidecar and pod.injected != injected]


def workers_finding(namespace: str, pods: list[PodRecord], *, is_suspended: bool) -> Finding:
    if not pods:
        return good("NoneSelected", "No pod carries the label of this SessionCluster.")
    bare = [pod for pod in pods if not pod.has_sidecar]
    if bare:
        return bad(
            "SidecarMissing",
            f"{_of(len(bare), len(pods))} without the sidecar: the webhook was not asked when "
            f"they were made. To get it: {cure(namespace, bare)}",
        )
    nameless = sum(not pod.worker for pod in pods)
    if nameless:
        hint = " spec.suspend is true, so they go on waiting." if is_suspended else ""
        return bad("NamePending", f"{_of(nameless, len(pods))} without a worker name yet.{hint}")
    ready = sum(map(_is_ready, pods))
    if ready < len(pods):
        return bad("NotReady", f"{_of(ready, len(pods))} ready.")
    return good("AllReady", f"{_of(ready, len(pods))} ready.")


def sidecars_finding(namespace: str, pods: list[PodRecord], injected: str) -> Finding:
    """True, or the command that replaces the pods whose sidecar is an older one."""
    old = outdated(pods, injected)
    if not old:
        return good("UpToDate", "Every sidecar is what a new pod would get.")
    runs = "runs" if len(old) == 1 else "run"
    count = f"{len(old)} of {len(pods)} workers {runs} an older sidecar"
    return bad("RestartRequired", f"{count}; {cure(namespace, old)}")


def _is_ready(pod: PodRecord) -> bool:
    return pod.has_sidecar and bool(pod.worker) and pod.is_ready


def _of(some: int, whole: int) -> str:
    return f"{some} of {whole} workers {'is' if some == 1 else 'are'}"
