"""The tables of metrics: which integer is shown under which name.

Names and units follow OpenTelemetry's semantic conventions where there are any.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

from msgspec import Struct


class Kind(enum.Enum):
    """How values of different times add up."""

    COUNTER = enum.auto()
    """Only grows: a sum since the start."""
    GAUGE = enum.auto()
    """What is now, and may shrink."""


class Instrument(Struct, frozen=True, kw_only=True):
    """One metric. `series` are the keys of what is read, each with the attributes it is shown with.

    `scale` is multiplied in, to come from what is counted to `unit`.
    """

    name: str
    unit: str
    kind: Kind
    description: str
    series: Mapping[str, Mapping[str, str]]
    scale: float = 1


def _one(key: str) -> Mapping[str, Mapping[str, str]]:
    return {key: {}}


SESSIONS: Final = (
    Instrument(
        name="moorline.cache.sessions",
        unit="{session}",
        kind=Kind.GAUGE,
        description="Sessions in the L1.",
        series=_one("cached_sessions"),
    ),
    Instrument(
        name="moorline.cache.size",
        unit="By",
        kind=Kind.GAUGE,
        description="Bytes that the sessions in the L1 are accounted with.",
        series=_one("cached_bytes"),
    ),
    Instrument(
        name="moorline.unsaved",
        unit="{session}",
        kind=Kind.GAUGE,
        description="Sessions with changes that the store does not hold yet.",
        series=_one("unsaved"),
    ),
    Instrument(
        name="moorline.store.up",
        unit="1",
        kind=Kind.GAUGE,
        description="1 while the store is in reach, else 0.",
        series=_one("store_is_up"),
    ),
    Instrument(
        name="moorline.sessions.created",
        unit="{session}",
        kind=Kind.COUNTER,
        description="Sessions created by this worker.",
        series=_one("created"),
    ),
    Instrument(
        name="moorline.sessions.ended",
        unit="{session}",
        kind=Kind.COUNTER,
        description="Sessions ended by this worker, for any reason.",
        series=_one("ended"),
    ),
    Instrument(
        name="moorline.sessions.expired",
        unit="{session}",
        kind=Kind.COUNTER,
        description="Sessions ended by this worker because their time was over.",
        series=_one("expired"),
    ),
    Instrument(
        name="moorline.sessions.renewed",
        unit="{session}",
        kind=Kind.COUNTER,
        description="Sessions given a new id by this worker.",
        series=_one("renewed"),
    ),
    Instrument(
        name="moorline.sessions.lifetime",
        unit="s",
        kind=Kind.COUNTER,
        description="Lifetimes of the sessions ended by this worker, added up.",
        series=_one("lifetime_total_ms"),
        scale=0.001,
    ),
    Instrument(
        name="moorline.reads",
        unit="{read}",
        kind=Kind.COUNTER,
        description="Sessions served, by what was asked for them.",
        series={
            "hits": {"moorline.cache.result": "hit"},
            "revalidated": {"moorline.cache.result": "revalidated"},
            "misses": {"moorline.cache.result": "miss"},
        },
    ),
    Instrument(
        name="moorline.store.records",
        unit="{record}",
        kind=Kind.COUNTER,
        description="Records that the store was asked for or told about.",
        series={
            "loads": {"db.operation.name": "load"},
            "writes": {"db.operation.name": "write"},
            "touches": {"db.operation.name": "touch"},
        },
    ),
    Instrument(
        name="moorline.store.batches",
        unit="{batch}",
        kind=Kind.COUNTER,
        description="Calls of the store that these records went in.",
        series={
            "load_batches": {"db.operation.name": "load"},
            "write_batches": {"db.operation.name": "write"},
            "touch_batches": {"db.operation.name": "touch"},
        },
    ),
    Instrument(
        name="moorline.conflicts",
        unit="{conflict}",
        kind=Kind.COUNTER,
        description="Writes that found another version than expected and were made again.",
        series=_one("conflicts"),
    ),
    Instrument(
        name="moorline.store.unknown_outcomes",
        unit="{write}",
        kind=Kind.COUNTER,
        description="Writes whose answer was lost.",
        series=_one("unknown_outcomes"),
    ),
    Instrument(
        name="moorline.store.outages",
        unit="{outage}",
        kind=Kind.COUNTER,
        description="Times that the store went out of reach.",
        series=_one("outages"),
    ),
    Instrument(
        name="moorline.kept_changes",
        unit="{change}",
        kind=Kind.COUNTER,
        description="Changes that were kept while the store was away (onOutage Buffer).",
        series=_one("kept_changes"),
    ),
    Instrument(
        name="moorline.replayed_sessions",
        unit="{session}",
        kind=Kind.COUNTER,
        description="Sessions whose kept changes were brought to the store.",
        series=_one("replayed_sessions"),
    ),
    Instrument(
        name="moorline.replay_conflicts",
        unit="{conflict}",
        kind=Kind.COUNTER,
        description="Kept changes that met others of the same attribute made elsewhere.",
        series=_one("replay_conflicts"),
    ),
    Instrument(
        name="moorline.refused_for_room",
        unit="{request}",
        kind=Kind.COUNTER,
        description="Requests that were answered 503 overloaded, by what had no room.",
        series={
            "journal_refusals": {"moorline.reason": "journal"},
            "overloads": {"moorline.reason": "queue"},
        },
    ),
    Instrument(
        name="moorline.journal.size",
        unit="By",
        kind=Kind.GAUGE,
        description="The file of kept changes; 0 without one.",
        series=_one("journal_bytes"),
    ),
    Instrument(
        name="moorline.lost_changes",
        unit="{change}",
        kind=Kind.COUNTER,
        description="Changes that could not be saved before the end.",
        series=_one("lost_changes"),
    ),
    Instrument(
        name="moorline.stream.live",
        unit="1",
        kind=Kind.GAUGE,
        description="1 while the store's change stream vouches for copies, else 0.",
        series=_one("stream_is_live"),
    ),
    Instrument(
        name="moorline.stream.age",
        unit="s",
        kind=Kind.GAUGE,
        description="How old a copy may be that the change stream vouches for.",
        series=_one("stream_age_ms"),
        scale=0.001,
    ),
    Instrument(
        name="moorline.stream.events",
        unit="{event}",
        kind=Kind.COUNTER,
        description="Changes and ends that the change stream told of.",
        series=_one("stream_events"),
    ),
    Instrument(
        name="moorline.stream.lag",
        unit="s",
        kind=Kind.COUNTER,
        description="How long after they happened they were told, added up.",
        series=_one("stream_lag_ms"),
        scale=0.001,
    ),
    Instrument(
        name="moorline.stream.failures",
        unit="{failure}",
        kind=Kind.COUNTER,
        description="Ends of the change stream: it broke, or what it missed is lost.",
        series={
            "stream_breaks": {"moorline.reason": "broken"},
            "stream_losses": {"moorline.reason": "gap"},
        },
    ),
    Instrument(
        name="moorline.shared_names",
        unit="{process}",
        kind=Kind.COUNTER,
        description="Other live processes that were seen to have this worker's name.",
        series=_one("shared_names"),
    ),
    Instrument(
        name="moorline.scavenge.records",
        unit="{record}",
        kind=Kind.COUNTER,
        description="What the scavenge tidied up after crashed workers.",
        series={
            "orphans_ended": {"moorline.scavenge.kind": "orphan"},
            "copies_removed": {"moorline.scavenge.kind": "copy"},
        },
    ),
)

L2: Final = (
    Instrument(
        name="moorline.l2.records",
        unit="{record}",
        kind=Kind.COUNTER,
        description="Records loaded through the L2, by where their content came from.",
        series={
            "l2_hits": {"moorline.cache.result": "hit"},
            "l2_misses": {"moorline.cache.result": "miss"},
            "l2_unasked": {"moorline.cache.result": "unasked"},
        },
    ),
    Instrument(
        name="moorline.l2.errors",
        unit="{call}",
        kind=Kind.COUNTER,
        description="Calls of the L2's servers that failed or took too long.",
        series=_one("l2_errors"),
    ),
)
"""Shown by a process that has an L2."""

TRAFFIC: Final = (
    Instrument(
        name="moorline.http.connections",
        unit="{connection}",
        kind=Kind.COUNTER,
        description="Connections accepted by the data plane.",
        series=_one("accepted"),
    ),
    Instrument(
        name="moorline.http.responses",
        unit="{response}",
        kind=Kind.COUNTER,
        description="Answers of the data plane, by class of status.",
        series={
            f"answers_{digit}xx": {"http.response.status_class": f"{digit}xx"}
            for digit in range(1, 6)
        },
    ),
    Instrument(
        name="moorline.http.refused",
        unit="{request}",
        kind=Kind.COUNTER,
        description="Connections and requests that were turned away, by why.",
        series={
            "overloaded": {"moorline.reason": "connections"},
            "refused": {"moorline.reason": "request"},
            "timeouts": {"moorline.reason": "timeout"},
            "failures": {"moorline.reason": "failure"},
        },
    ),
    Instrument(
        name="moorline.http.io",
        unit="By",
        kind=Kind.COUNTER,
        description="Bytes that passed through the data plane.",
        series={
            "bytes_received": {"network.io.direction": "receive"},
            "bytes_sent": {"network.io.direction": "transmit"},
        },
    ),
)

CONFIGURATION: Final = (
    Instrument(
        name="moorline.config.reloads",
        unit="{reload}",
        kind=Kind.COUNTER,
        description="Times that the configuration file had changed, by what became of it.",
        series={
            "reloads_applied": {"moorline.config.result": "applied"},
            "reloads_refused": {"moorline.config.result": "refused"},
        },
    ),
    Instrument(
        name="moorline.config.restart_needed",
        unit="{setting}",
        kind=Kind.GAUGE,
        description="Settings that were changed, and wait for a restart.",
        series=_one("restart_needed"),
    ),
)

PROCESS: Final = (
    Instrument(
        name="process.cpu.time",
        unit="s",
        kind=Kind.COUNTER,
        description="CPU seconds used.",
        series={"cpu_user": {"cpu.mode": "user"}, "cpu_system": {"cpu.mode": "system"}},
    ),
    Instrument(
        name="process.memory.usage",
        unit="By",
        kind=Kind.GAUGE,
        description="Physical memory in use.",
        series=_one("memory_bytes"),
    ),
    Instrument(
        name="process.unix.file_descriptor.count",
        unit="{file_descriptor}",
        kind=Kind.GAUGE,
        description="Open file descriptors.",
        series=_one("descriptors"),
    ),
    Instrument(
        name="process.asyncio.tasks",
        unit="{task}",
        kind=Kind.GAUGE,
        description="Tasks of the event loop; more and more of them are a leak.",
        series=_one("tasks"),
    ),
    Instrument(
        name="process.uptime",
        unit="s",
        kind=Kind.GAUGE,
        description="Seconds since the start.",
        series=_one("uptime"),
    ),
)

SCOPE: Final = "moorline_sidecar"
"""OpenTelemetry's name for who measures."""

STORE_CALL_SECONDS: Final = "db.client.operation.duration"
"""A histogram: how long calls of the store took, failed ones included."""

STORE_CALL_DESCRIPTION: Final = "How long calls of the store took."

STORE_CALL_BUCKETS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
"""Seconds; OpenTelemetry's advice for this metric."""
