"""What the processes tell about themselves: metrics, statistics, counters of the store."""

from __future__ import annotations

import urllib.request
from collections import Counter
from typing import Any, Protocol

import msgspec
from prometheus_client.parser import text_string_to_metric_families
from pymongo import MongoClient

from bench.processes import HOST
from bench.servers import Sidecar

SECONDS = 10.0


class Exposing(Protocol):
    """A process with metrics on its health port."""

    @property
    def health_port(self) -> int: ...


def metrics(process: Exposing, name: str) -> dict[str, float]:
    """The series of a metric, by its labels put together."""
    text = _get(f"http://{HOST}:{process.health_port}/metrics").decode()
    return {
        " ".join(f"{label}={value}" for label, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def reads(sidecar: Sidecar) -> Counter[str]:
    """Sessions served so far, by what it took: `hit`, `revalidated` or `miss`."""
    counted = metrics(sidecar, "moorline_reads_total")
    return Counter({label.rpartition("=")[2]: int(count) for label, count in counted.items()})


def share(kind: str, before: Counter[str], after: Counter[str]) -> float:
    """The part of the reads in between that were of this kind; 0 without any."""
    between = after - before
    return between[kind] / max(between.total(), 1)


def statistics(sidecar: Sidecar) -> dict[str, Any]:
    """`GET /v1/stats`."""
    told = msgspec.json.decode(_get(f"http://{HOST}:{sidecar.ops_port}/v1/stats"))
    return dict(told)


def write_commands(uri: str) -> int:
    """Commands that insert, update or delete, since the store's start."""
    client: MongoClient[dict[str, Any]] = MongoClient(uri)
    with client:
        counted = client.admin.command("serverStatus")["opcounters"]
    return sum(counted[kind] for kind in ("insert", "update", "delete"))


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=SECONDS) as answer:  # noqa: S310 - of our own making
        return bytes(answer.read())
