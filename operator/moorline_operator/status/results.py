"""Reads what Jobs and their pods tell. A pod's message is anybody's text, and read as that."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta, Struct, field

from moorline_operator import naming
from moorline_operator.desired import is_owned
from moorline_operator.status.facts import CheckOutcome, CronFacts, JobFacts, PurgeOutcome

MESSAGE_BYTES: Final = 2_048
"""A result is that long at most; the kubelet hands on 4 KiB."""

_DETAIL_CHARACTERS: Final = 512
_STARTING: Final = frozenset({"", "ContainerCreating", "PodInitializing"})
_NOT_PULLED: Final = frozenset({"ErrImagePull", "ImagePullBackOff"})
"""A pod goes from one to the other and back, with ever other words."""

_ATTEMPT: Final = re.compile("[0-9]{1,9}")
"""Anybody can write a Job's annotations, and thousands of digits are no number to Python."""

_WORD: Final = re.compile("[A-Z][A-Za-z0-9]{0,63}")

_Number: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]
_Seconds: TypeAlias = Annotated[float, Meta(ge=0, le=1e9)]


class _Check(Struct, kw_only=True):
    ok: bool
    reason: str = ""
    detail: str = ""
    server: str = ""


class _Purge(Struct, kw_only=True, rename="camel"):
    invalid_deleted: _Number = 0
    valid_deleted: _Number = 0
    duration_seconds: _Seconds = 0.0
    is_complete: bool = field(default=False, name="complete")
    reason: str = ""
    detail: str = ""


def check_outcome(message: str) -> CheckOutcome | None:
    """What the last line of a check's termination message says; None if that is no result."""
    try:
        found = msgspec.json.decode(_last_line(message), type=_Check)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return CheckOutcome(
        is_ok=found.ok,
        reason=_word(found.reason),
        detail=shown(found.detail),
        server=shown(found.server),
    )


def purge_outcome(message: str) -> PurgeOutcome | None:
    """As `check_outcome`, for a purge."""
    try:
        found = msgspec.json.decode(_last_line(message), type=_Purge)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    told = {"reason": _word(found.reason), "detail": shown(found.detail)}
    return PurgeOutcome(**{**msgspec.structs.asdict(found), **told})


def _word(text: str) -> str:
    return text if _WORD.fullmatch(text) else ""


def shown(text: str, most: int = _DETAIL_CHARACTERS) -> str:
    """A text as one line that does nothing to a terminal, cut where it is too long."""
    # What moves the cursor, hides text or turns it round is not printable.
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def job_facts(job: Mapping[str, Any], pods: Iterable[Mapping[str, Any]]) -> JobFacts:
    """The facts of a Job; its pods are found among `pods`, and the last of them counts."""
    metadata, status = job["metadata"], job.get("status", {})
    annotations = metadata.get("annotations", {})
    task = metadata.get("labels", {}).get(naming.TASK, "")
    attempt = annotations.get(naming.ATTEMPT, "")
    end = _end(status)
    pod = _last_pod(metadata["uid"], pods)
    facts = JobFacts(
        name=metadata["name"],
        uid=metadata["uid"],
        task=task,
        checked=annotations.get(naming.CHECKED, ""),
        attempt=int(attempt) if _ATTEMPT.fullmatch(attempt) else 0,
        stuck="" if pod is None else _stuck(pod.get("status", {})),
    )
    if end is None:
        return facts
    has_succeeded = end["type"] == "Complete"
    terminated = {} if pod is None else _terminated(pod.get("status", {}))
    message = terminated.get("message", "")
    return msgspec.structs.replace(
        facts,
        ended=instant(end.get("lastTransitionTime") or metadata["creationTimestamp"]),
        has_succeeded=has_succeeded,
        reason="" if has_succeeded else _reason(end, terminated),
        exit_code=terminated.get("exitCode"),
        stuck="",
        outcome=(purge_outcome if task == naming.PURGE_TASK else check_outcome)(message),
    )


def cron_facts(cron_job: Mapping[str, Any]) -> CronFacts:
    """The facts of a CronJob; it is as it is since it was last changed, but for its status."""
    metadata = cron_job["metadata"]
    changes = [
        entry["time"]
        for entry in metadata.get("managedFields", ())
        if "time" in entry and entry.get("subresource") != "status"
    ]
    since = max(map(instant, [metadata["creationTimestamp"], *changes]))
    return CronFacts(schedule=cron_job["spec"]["schedule"], since=since)


def instant(text: str) -> datetime:
    """The instant that an object's field tells, as "2026-11-22T08:00:00Z"."""
    return datetime.fromisoformat(text).astimezone(UTC)


def _last_line(message: str) -> bytes:
    line = message.strip().rpartition("\n")[2].encode(errors="replace")
    if len(line) > MESSAGE_BYTES:
        raise ValueError("it is too long for a result")
    return line


def _end(status: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The condition that tells that a Job has ended; `FailureTarget` only tells that it will."""
    ends = (
        condition
        for condition in status.get("conditions", ())
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True"
    )
    return next(ends, None)


def _last_pod(job_uid: str, pods: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    owned = (pod for pod in pods if is_owned(pod, job_uid))
    return max(owned, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), default=None)


def _terminated(status: Mapping[str, Any]) -> Mapping[str, Any]:
    for container in status.get("containerStatuses", ()):
        if container["name"] == naming.CONTAINER:
            found: Mapping[str, Any] = container.get("state", {}).get("terminated", {})
            return found
    return {}


def _reason(end: Mapping[str, Any], terminated: Mapping[str, Any]) -> str:
    """Why a Job failed: that its only try did is less than that it ran out of memory."""
    found = str(terminated.get("reason", ""))
    reason = found if found == "OOMKilled" else str(end.get("reason", ""))
    return reason if _WORD.fullmatch(reason) else "JobFailed"


def _stuck(status: Mapping[str, Any]) -> str:
    """Why a pod does not start, as "ImagePullBackOff: …"; "" if nothing is wrong yet."""
    for container in status.get("containerStatuses", ()):
        waiting = container.get("state", {}).get("waiting", {})
        reason = waiting.get("reason", "")
        if reason in _NOT_PULLED:
            return shown(f"ImagePullBackOff: the image {container.get('image')} cannot be pulled")
        if reason not in _STARTING:
            return shown(f"{reason}: {waiting.get('message', '')}").rstrip(": ")
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return shown(f"{condition.get('reason', '')}: {condition.get('message', '')}")
    return ""
