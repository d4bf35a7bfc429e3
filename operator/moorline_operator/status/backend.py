"""The condition BackendReady: what the last check of this backend told.

Reasons while it is False are those that a check tells, `CHECK_REASONS`, and of a check that told
nothing `CheckTimedOut` and `CheckFailed`.
"""

from typing import Final

from moorline_api.backends import BackendSpec
from moorline_api.base import SecretKeyRef
from moorline_api.choices import BackendType
from moorline_api.model import SessionClusterSpec
from moorline_api.status import Condition, ConditionStatus

from moorline_operator import naming
from moorline_operator.container import DATA_VOLUME, connection_secret, data_folder
from moorline_operator.status.checks import is_good, last_ended, running
from moorline_operator.status.facts import (
    CheckOutcome,
    Finding,
    JobFacts,
    Observed,
    bad,
    good,
    sentence,
    unknown,
)

CHECK_REASONS: Final = {
    "SecretNotFound": "Create the Secret; the backend is checked again by itself.",
    "SecretKeyMissing": "Add the key to the Secret; the backend is checked again by itself.",
    "NameNotResolved": "Correct the host in the connection URI, or the DNS.",
    "TLSFailed": "Correct the certificate of the server, or the TLS options of the connection URI.",
    "AuthenticationFailed": "Correct user and password in the connection URI, or grant the role.",
    "Unreachable": "Start the server, correct the connection URI, or let a NetworkPolicy allow it.",
    "NotPrimary": "Wait for the election, or bring the missing members of the replica set back.",
    "UnsupportedVersion": "Update the server, or change the setting of it that is named.",
    "IndexConflict": "Drop the index that is named, or use another collection.",
    "InvalidConfiguration": "Correct the spec.",
}
"""What a person does about each of them."""

_NOT_STARTED: Final = "The check does not start: "
_UNUSABLE: Final = "the connection URI cannot be used"
"""How a check begins that found a URI."""


def backend_finding(
    observed: Observed, spec: SessionClusterSpec, before: Condition | None
) -> Finding:
    """The finding; `before` is the condition that was written last."""
    if spec.backend.type is BackendType.MEMORY:
        message = "Sessions are in the memory of each sidecar; there is no backend to reach."
        return good("InMemory", message)
    if data_folder(spec.backend) is not None:
        message = (
            f"Sessions are on the volume {DATA_VOLUME} of each pod, which only its sidecar can "
            "reach; one that cannot is not ready, and says why in its log."
        )
        return good("OnPodVolume", message)
    ended = last_ended(observed.checked, observed.jobs)
    if ended is None:
        return _not_known(observed, before)
    if before is not None and _is_told_before(ended, before):
        return _as_before(before)
    if is_good(ended):
        return good("Ready", _ready_message(ended))
    return _failed(observed, spec.backend, ended, before)


def _is_told_before(job: JobFacts, before: Condition) -> bool:
    """Whether the pod that told is gone, but what it told is known."""
    is_mute = job.has_succeeded and job.outcome is None
    return is_mute and before.status is ConditionStatus.TRUE


def _as_before(before: Condition) -> Finding:
    return Finding(before.status, before.reason, before.message)


def _not_known(observed: Observed, before: Condition | None) -> Finding:
    # The spec is the same: it is only checked anew, and until then the last word holds.
    is_same = before is not None and before.observed_generation == observed.generation
    if before is not None and is_same and before.reason != "Checking":
        return _as_before(before)
    if observed.spec is not None and observed.spec.suspend:
        return unknown("Suspended", "spec.suspend is true: the backend is not checked.")
    job = running(observed.checked, observed.jobs)
    if job is not None and job.stuck:
        return unknown("Checking", f"{_NOT_STARTED}{job.stuck}")
    return unknown("Checking", "The backend is being checked.")


def _ready_message(job: JobFacts) -> str:
    server = job.outcome.server if isinstance(job.outcome, CheckOutcome) else ""
    return f"The backend is in reach: {server}." if server else "The backend is in reach."


def _failed(
    observed: Observed, backend: BackendSpec, job: JobFacts, before: Condition | None
) -> Finding:
    outcome = job.outcome
    if not isinstance(outcome, CheckOutcome) or outcome.is_ok or not outcome.reason:
        if job.reason == "DeadlineExceeded":
            return _timed_out(observed, before)
        return _told_nothing(observed, job)
    reason = outcome.reason
    secret = connection_secret(backend)
    if reason in ("SecretNotFound", "SecretKeyMissing") and secret is not None:
        return bad(reason, _secret_message(observed, secret, outcome))
    if reason == "InvalidConfiguration" and secret is None:
        hint = f"set spec.backend.{backend.type.member}.connectionSecretRef to the Secret with it"
        return bad(reason, f"{sentence(outcome.detail)} In Kubernetes, {hint}.")
    cure = CHECK_REASONS.get(reason, "")
    return bad(reason, f"{sentence(outcome.detail)} {cure}".strip())


def _timed_out(observed: Observed, before: Condition | None) -> Finding:
    """The pod is gone by then: why it did not start the next attempt tells, or the last word."""
    job = running(observed.checked, observed.jobs)
    told = "" if before is None else before.message.partition(_NOT_STARTED)[2]
    stuck = job.stuck if job is not None and job.stuck else told
    if stuck:
        return bad("CheckTimedOut", f"{_NOT_STARTED}{stuck}")
    look = f"kubectl -n {observed.namespace} get events"
    return bad("CheckTimedOut", f"The check did not end in time. To see why: {look}")


def _told_nothing(observed: Observed, job: JobFacts) -> Finding:
    pods = f"{naming.SESSION_CLUSTER}={observed.name},{naming.TASK}={naming.CHECK_TASK}"
    look = f"kubectl -n {observed.namespace} describe pods -l {pods}"
    why = job.reason or "no result"
    return bad("CheckFailed", f"The check failed without saying why ({why}). To see more: {look}")


def _secret_message(observed: Observed, secret: SecretKeyRef, outcome: CheckOutcome) -> str:
    place = f"{observed.namespace}/{secret.name}"
    if outcome.detail.startswith(_UNUSABLE):
        return (
            f"{sentence(outcome.detail)} Correct it in the Secret {place}; the backend is checked "
            "again by itself."
        )
    if outcome.reason == "SecretNotFound":
        key = secret.key or "uri"
        return (
            f"There is no Secret {place}, or it is empty. Create it with the connection URI "
            f"under the key {key}; the backend is checked again by itself."
        )
    keys = secret.key or "uri, connectionString.standardSrv or connectionString.standard"
    return (
        f"The Secret {place} holds no connection URI under the key {keys}. Add it; the backend "
        "is checked again by itself."
    )
