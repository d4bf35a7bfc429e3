"""The operator with ten thousand pods of a hundred SessionClusters: memory, writes, reconciles."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from moorline_operator.kube.api import Kube
from moorline_operator.kube.kinds import SESSION_CLUSTERS
from msgspec import Struct

from bench.changing import Changes
from bench.cluster import Cluster, administrator, cluster, define
from bench.figures import Figure, figure, percentile
from bench.fleet import Fleet, checks_succeed, fleet_of, make
from bench.gauges import metrics
from bench.polling import until
from bench.processes import cpu_seconds, peak_resident_bytes, resident_bytes
from bench.release import (
    Operator,
    Release,
    chart_settings,
    injection_of,
    install,
    replica,
    until_leading,
)
from bench.results import Row, Unit, at_most
from bench.settings import Settings
from bench.stage import chance_of, say
from bench.writes import Writes

PODS: Final = 10_000
CLUSTERS: Final = 100
QUICK_PODS: Final = 500
QUICK_CLUSTERS: Final = 10
QUIET_SECONDS: Final = 60.0
QUICK_QUIET_SECONDS: Final = 5.0
SETTLED_SECONDS: Final = 5.0
"""Without a write for so long, the operator has done what it had to."""

LOOKS: Final = "moorline_operator_reconciles_total"
PATIENCE_SECONDS: Final = 240.0


class Memory(Struct, frozen=True):
    """Bytes of a process, in its first quiet moment and at most so far."""

    quiet: int
    peak: int


class Quiet(Struct, frozen=True):
    """The operator's writes in a time in which nothing happened, and its part of a core."""

    writes: list[str]
    busy: float


class Found(Struct, frozen=True):
    """All that is measured; the latencies are in seconds."""

    memory: list[Memory]
    quiet: Quiet
    paced: list[float]
    burst: list[float]
    start_seconds: float


def measure(settings: Settings) -> Iterator[Row]:
    fleet = fleet_of(settings.sized(PODS, QUICK_PODS), settings.sized(CLUSTERS, QUICK_CLUSTERS))
    size = f"{len(fleet.clusters) * fleet.pods_each:,} pods, {len(fleet.clusters)} SessionClusters"
    found = asyncio.run(_measured(settings, fleet))
    peak = max(memory.peak for memory in found.memory) / 1e6
    quiet = [memory.quiet / 1e6 for memory in found.memory]
    yield Row(
        name="operator-memory",
        what=f"memory of the operator, {size}, at most",
        against="",
        target=at_most(250, Unit.MEGABYTES),
        value=Figure(peak, min(quiet), peak),
        ours=f"quiet {quiet[0]:.0f} MB, started anew {quiet[-1]:.0f} MB; "
        f"all status told {found.start_seconds:.1f} s after that start",
    )
    yield Row(
        name="operator-quiet",
        what=f"writes in a quiet minute but of the leader's Lease, {size}",
        against="",
        target=at_most(0, Unit.WRITES),
        value=figure([float(len(found.quiet.writes))]),
        ours=f"{found.quiet.busy * 1e3:.0f} mCPU",
        note=", ".join(sorted(set(found.quiet.writes))[:3]),
    )
    for name, what, latencies in (
        ("operator-reconcile", "from a spec change to its status, five a second", found.paced),
        ("operator-burst", "the same, every SessionCluster changed at once", found.burst),
    ):
        ordered = sorted(latencies)
        p99 = percentile(ordered, 0.99)
        yield Row(
            name=name,
            what=f"{what}, {size}: p99",
            against="",
            target=at_most(1, Unit.SECONDS),
            value=Figure(p99, p99, p99),
            ours=f"p50 {percentile(ordered, 0.5):.3f} s of {len(ordered)}",
        )


async def _measured(settings: Settings, fleet: Fleet) -> Found:
    with cluster(settings) as ours:
        async with administrator(ours.kubeconfig) as kube:
            await define(kube)
            say(f"making {len(fleet.clusters) * fleet.pods_each:,} pods")
            injection = injection_of(chart_settings(settings, ours))
            await make(kube, fleet, injection, chance_of(settings, "fleet"))
            release = await install(settings, ours, kube)
            async with checks_succeed(kube):
                with replica(settings, release, "first") as operator:
                    await until_leading(kube, release, operator)
                    first = await _settled(ours, kube, release, (operator, fleet))
            return await _restarted(settings, ours, kube, (release, fleet, first))


async def _restarted(
    settings: Settings, ours: Cluster, kube: Kube, before: tuple[Release, Fleet, Memory]
) -> Found:
    """The same by a process that finds everything done."""
    release, fleet, first = before
    begun = time.monotonic()
    with replica(settings, release, "second") as operator:
        await until_leading(kube, release, operator)
        started = time.monotonic() - begun
        second = await _settled(ours, kube, release, (operator, fleet))
        say("a quiet time")
        quiet = await _quiet(ours, release, operator, settings)
        say("changes of the specs, one after the other")
        async with Changes.of(kube, fleet.clusters) as changes:
            paced = await changes.paced(settings.sized(2, 1))
            say("changes of all specs at once")
            burst = await changes.burst()
        last = Memory(second.quiet, peak_resident_bytes(operator.pid))
    return Found([first, last], quiet, paced, burst, started)


async def _settled(
    ours: Cluster, kube: Kube, release: Release, what: tuple[Operator, Fleet]
) -> Memory:
    """Wait until all is told and nothing is written any more."""
    operator, fleet = what

    async def is_told() -> bool:
        # A status may have been told by the process before.
        if await asyncio.to_thread(_looks, operator) < len(fleet.clusters):
            return False
        async for page in kube.pages(SESSION_CLUSTERS):
            for found in page["items"]:
                if not _is_done(found, fleet.pods_each):
                    return False
        return True

    say("the operator sees to everything")
    await until(is_told, "the operator has not told of everything", PATIENCE_SECONDS)
    watched = Writes(ours.audit_log, release)

    async def is_silent() -> bool:
        watched.read()
        await asyncio.sleep(SETTLED_SECONDS)
        return not watched.read()

    await until(is_silent, "the operator never ends writing", PATIENCE_SECONDS)
    return Memory(resident_bytes(operator.pid), peak_resident_bytes(operator.pid))


def _looks(operator: Operator) -> float:
    """How many SessionClusters the leader has looked at; 0 while it does not answer."""
    with suppress(OSError):
        return sum(metrics(operator, LOOKS).values())
    return 0.0


def _is_done(found: dict[str, Any], pods: int) -> bool:
    with suppress(KeyError):
        status = found["status"]
        conditions = {one["type"]: one["status"] for one in status["conditions"]}
        is_checked = conditions["BackendReady"] == "True"
        return bool(is_checked and status["workers"]["named"] == pods)
    return False


async def _quiet(ours: Cluster, release: Release, operator: Operator, settings: Settings) -> Quiet:
    seconds = QUICK_QUIET_SECONDS if settings.is_quick else QUIET_SECONDS
    watched = Writes(ours.audit_log, release)
    watched.read()
    spent = cpu_seconds(operator.pid)
    await asyncio.sleep(seconds)
    return Quiet(watched.read(), (cpu_seconds(operator.pid) - spent) / seconds)
