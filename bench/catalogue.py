"""All groups of rows, in the order of the table."""

from __future__ import annotations

from typing import Final

from bench.rows import (
    admission,
    evictions,
    fleet,
    growth,
    hits,
    memory,
    misses,
    naming,
    paced,
    purges,
    sockets,
    start,
    touches,
    unlike,
    writes,
)
from bench.stage import Group

WRK: Final = {"wrk": "wrk"}
REDIS: Final = {"redis-server": "redis-server", "redis-benchmark": "redis-tools"}

GROUPS: Final = (
    Group("hits", "Reads of cached sessions", hits.measure, WRK | REDIS),
    Group("sockets", "A unix socket", sockets.measure),
    Group("paced", "A thousand reads a second", paced.measure),
    Group("misses", "Reads from the store", misses.measure, WRK),
    Group("writes", "Durable changes", writes.measure, WRK),
    Group("unlike", "An unlike load", unlike.measure, WRK | REDIS),
    Group("touches", "Touches", touches.measure),
    Group("memory", "Memory", memory.measure),
    Group("start", "Start", start.measure),
    Group("eviction", "Eviction", evictions.measure),
    Group("purge", "Purge", purges.measure),
    Group("growth", "Growth", growth.measure, WRK),
    Group("admission", "Admission", admission.measure),
    Group("naming", "Naming", naming.measure),
    Group("operator", "The operator at its largest", fleet.measure),
)
