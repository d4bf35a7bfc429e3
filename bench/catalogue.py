"""All groups of rows, in the order of the table."""

from __future__ import annotations

from typing import Final

from bench.generator import COMPILER
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

REDIS: Final = {"redis-server": "redis-server"}

LONG: Final = frozenset({"growth"})
"""What a long run measures, with a million records."""

GROUPS: Final = (
    Group("hits", "Reads of cached sessions", hits.measure, COMPILER | REDIS),
    Group("sockets", "A unix socket", sockets.measure, COMPILER),
    Group("paced", "A thousand reads a second", paced.measure),
    Group("misses", "Reads from the store", misses.measure, COMPILER),
    Group("writes", "Durable changes", writes.measure, COMPILER),
    Group("unlike", "An unlike load", unlike.measure, COMPILER | REDIS),
    Group("touches", "Touches", touches.measure),
    Group("memory", "Memory", memory.measure),
    Group("start", "Start", start.measure),
    Group("eviction", "Eviction", evictions.measure),
    Group("purge", "Purge", purges.measure),
    Group("growth", "Growth", growth.measure, COMPILER),
    Group("admission", "Admission", admission.measure),
    Group("naming", "Naming", naming.measure),
    Group("operator", "The operator at its largest", fleet.measure),
)
