"""`make soak`: mixed traffic without faults, for as long as asked, and what it leaves behind.

Sessions come, are used, evicted and end all the time. Memory, descriptors and tasks of each sidecar
are looked at every few seconds; at the end the last third is compared with the second one. Exit
code 1 if something grew, or a rule was broken.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import aiohttp
import click
from msgspec import Struct

from tests.faults.chaos import table
from tests.faults.fire import Fire, Setting
from tests.faults.processes import Worker

SAMPLE_SECONDS: Final = 5.0
REPORT_SECONDS: Final = 60.0
MEMORY_GROWTH: Final = 1.05
"""What malloc keeps for later moves by a few per cent."""

COUNT_GROWTH: Final = 3
"""Descriptors, or tasks, more than before."""

SHOWN: Final = {
    "memory": "process_memory_usage_bytes",
    "descriptors": "process_unix_file_descriptor_count",
    "tasks": "process_asyncio_tasks",
    "cached sessions": "moorline_cache_sessions",
}


class Sample(Struct, frozen=True):
    """What one sidecar's metrics showed."""

    worker: str
    at: float
    values: dict[str, float]


@click.command()
@click.option("--minutes", default=60.0, show_default=True)
@click.option("--seed", default=1, show_default=True, help="Of what users do.")
@click.option("--users", default=60, show_default=True)
@click.option("--sidecars", default=2, show_default=True)
@click.option("--think-seconds", default=0.3, show_default=True)
def main(minutes: float, seed: int, users: int, sidecars: int, think_seconds: float) -> None:
    """Serve users for long, and see what grows."""
    setting = Setting(
        seconds=minutes * 60,
        seed=seed,
        users=users,
        sidecars=sidecars,
        think_seconds=think_seconds,
        cache_sessions=max(10, users // 2),
        is_calm=True,
    )
    folder = Path(tempfile.mkdtemp(prefix="moorline-soak-"))
    fire = Fire(setting, folder, click.echo)
    samples = asyncio.run(_run(fire))
    click.echo(table(fire.outcome))
    grown = [line for worker in fire.workers for line in growth(samples, worker.name)]
    click.echo("\n".join(grown) or "nothing grew")
    sys.exit(bool(grown or fire.outcome.violations))


async def _run(fire: Fire) -> list[Sample]:
    samples: list[Sample] = []
    watching = asyncio.create_task(_watch(fire, samples))
    try:
        await fire.run()
    finally:
        watching.cancel()
    return samples


async def _watch(fire: Fire, samples: list[Sample]) -> None:
    started = reported = time.monotonic()
    async with aiohttp.ClientSession() as http:
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            at = time.monotonic() - started
            now = [sample for it in fire.workers if (sample := await _look(http, it, at))]
            samples += now
            if time.monotonic() - reported >= REPORT_SECONDS:
                reported = time.monotonic()
                for sample in now:
                    click.echo(f"{at:7.0f} s  {sample.worker}  {_shown(sample.values)}")


async def _look(http: aiohttp.ClientSession, worker: Worker, at: float) -> Sample | None:
    with suppress(aiohttp.ClientError, TimeoutError):
        async with http.get(f"http://127.0.0.1:{worker.health_port}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        values = {
            name: sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(metric))
            for name, metric in SHOWN.items()
        }
        return Sample(worker.name, at, values)
    return None


def _shown(values: dict[str, float]) -> str:
    rest = ", ".join(f"{values[name]:.0f} {name}" for name in SHOWN if name != "memory")
    return f"{values['memory'] / (1 << 20):.1f} MiB, {rest}"


def growth(samples: list[Sample], worker: str) -> list[str]:
    """Sentences about what is more in the last third of a worker's samples than in the second."""
    own = [sample for sample in samples if sample.worker == worker]
    third = len(own) // 3
    if third == 0:
        return [f"{worker}: too short to tell"]
    lines = []
    for name in ("memory", "descriptors", "tasks"):
        before = statistics.median(it.values[name] for it in own[third : 2 * third])
        after = statistics.median(it.values[name] for it in own[-third:])
        bound = before * MEMORY_GROWTH if name == "memory" else before + COUNT_GROWTH
        if after > bound:
            lines.append(f"{worker}: {name} grew from {before:,.0f} to {after:,.0f}")
    return lines


if __name__ == "__main__":
    main()
