"""A sidecar whose cache holds a population: what most rows begin with."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from bench.population import Member, members, store_all
from bench.reading import Known, read_all
from bench.servers import WORKER, Sidecar, sidecar, store
from bench.settings import Settings
from bench.stage import chance_of, say


class Warm(Struct, frozen=True):
    """A sidecar, its store, and what a client knows of the sessions."""

    sidecar: Sidecar
    uri: str
    known: Sequence[Known]


@contextlib.contextmanager
def warm_sidecar(
    settings: Settings,
    what: str,
    sessions: int,
    spec: Mapping[str, Any] | None = None,
    alter: Callable[[Member, random.Random], Member] = lambda member, _: member,
) -> Iterator[Warm]:
    """Sessions of 1 KB, drawn for the row `what` and altered, stored and read once."""
    chance = chance_of(settings, what)
    population = [alter(member, chance) for member in members(sessions, chance)]
    with store(settings) as database, sidecar(settings, database.uri, spec=spec) as process:
        say(f"storing and reading {sessions:,} sessions")
        store_all(database.uri, "sessions", population, WORKER)
        yield Warm(process, database.uri, read_all(process.url, population))
