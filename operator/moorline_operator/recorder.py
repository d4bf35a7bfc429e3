"""Writes Events (events.k8s.io/v1): few, and never in the way of anything else."""

import hashlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import structlog
from moorline_api.model import GROUP, KIND, VERSION
from msgspec import Struct

from moorline_operator.errors import AlreadyExists, KubeError
from moorline_operator.kube.api import KubeObject
from moorline_operator.kube.kinds import EVENTS, Kind
from moorline_operator.status.notices import Notice

CONTROLLER: Final = f"{GROUP}/operator"

INTERVAL: Final = timedelta(minutes=10)
"""One write for an object and a reason within that; what comes between is only counted."""

REMEMBERED: Final = 10_000
"""Objects and reasons that are counted, the latest; some 200 bytes each."""

_NOTE_BYTES: Final = 1_024
_NAME_CHARACTERS: Final = 200

log = structlog.get_logger(__name__)


class Writer(Protocol):
    """What of the API server is needed here."""

    async def create(self, kind: Kind, obj: KubeObject) -> KubeObject: ...

    async def apply(self, kind: Kind, obj: KubeObject) -> KubeObject: ...


class Subject(Struct, frozen=True, kw_only=True):
    """The SessionCluster that an Event is about."""

    namespace: str
    name: str
    uid: str


class _Series(Struct):
    """How often a reason came up for an object, and when that was last written."""

    count: int
    written: datetime


class Recorder:
    """Records notices; `instance` is this process's name, `now` the time in UTC.

    The counts are this process's own: they begin anew with it.
    """

    def __init__(self, kube: Writer, *, instance: str, now: Callable[[], datetime]) -> None:
        self._kube = kube
        self._instance = instance
        self._now = now
        self._series: dict[tuple[str, str], _Series] = {}

    async def record(self, subject: Subject, notices: Iterable[Notice]) -> None:
        """Write what is not written yet; what the API server does not take is a line in the log."""
        for notice in notices:
            series = self._due(subject, notice)
            if series is None:
                continue
            try:
                await self._write(subject, notice, series)
            except KubeError as error:
                log.warning(
                    "an event is lost",
                    namespace=subject.namespace,
                    cluster=subject.name,
                    reason=str(notice.reason),
                    why=str(error),
                )

    def _due(self, subject: Subject, notice: Notice) -> _Series | None:
        """The series to write now; None where it is too early for that."""
        key, now = (subject.uid, str(notice.reason)), self._now()
        known = self._series.pop(key, None)
        series = _Series(1, now) if known is None else known
        # Put back at the end, the place of the latest.
        self._series[key] = series
        if len(self._series) > REMEMBERED:
            del self._series[next(iter(self._series))]
        if known is None:
            return series
        known.count += 1
        if now - known.written < INTERVAL:
            return None
        known.written = now
        return known

    async def _write(self, subject: Subject, notice: Notice, series: _Series) -> None:
        event = _event(subject, notice, self._instance, series.written)
        try:
            await self._kube.create(EVENTS, event)
        except AlreadyExists:
            # Kubernetes allows of an Event only its series to change.
            await self._kube.apply(EVENTS, _with_series(event, series))


def _event(subject: Subject, notice: Notice, instance: str, now: datetime) -> KubeObject:
    return {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.name,
        "metadata": {"namespace": subject.namespace, "name": _name(subject, notice)},
        "eventTime": _micro_time(now),
        "reportingController": CONTROLLER,
        "reportingInstance": instance[:128],
        "action": "Reconcile",
        "reason": str(notice.reason),
        "type": notice.type,
        "note": _note(notice.note),
        "regarding": {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": KIND,
            "namespace": subject.namespace,
            "name": subject.name,
            "uid": subject.uid,
        },
    }


def _with_series(event: KubeObject, series: _Series) -> KubeObject:
    return {
        "apiVersion": event["apiVersion"],
        "kind": event["kind"],
        "metadata": event["metadata"],
        # A series begins with the second of its kind.
        "series": {
            "count": max(series.count, 2),
            "lastObservedTime": _micro_time(series.written),
        },
    }


def _name(subject: Subject, notice: Notice) -> str:
    """The same for the same sentence about the same object, whichever process writes it."""
    facts = f"{subject.uid}/{notice.reason}/{notice.note}"
    digest = hashlib.sha256(facts.encode()).hexdigest()[:16]
    return f"{subject.name[:_NAME_CHARACTERS]}.{digest}"


def _note(text: str) -> str:
    """The text, cut to what an Event has room for."""
    if len(text.encode()) <= _NOTE_BYTES:
        return text
    kept = text.encode()[: _NOTE_BYTES - len("…".encode())]
    return f"{kept.decode(errors='ignore')}…"


def _micro_time(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
