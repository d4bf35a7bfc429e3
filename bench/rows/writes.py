"""Durable changes, beside the same change made by hand."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from moorline_sidecar.domain.ids import hashed_key
from moorline_sidecar.stores.bson_codec import encode_key
from moorline_sidecar.stores.mongodb_indexes import INDEXES
from msgspec import Struct
from pymongo import MongoClient

from bench.comparing import OURS, rate_row
from bench.load import by_hand, load
from bench.population import DATABASE, members, store_all
from bench.reading import Known
from bench.results import Row, at_least
from bench.servers import WORKER
from bench.settings import Settings
from bench.shots import Shot, hint_header, write_shots
from bench.stage import alternate, chance_of
from bench.warm import Warm, warm_sidecar

SESSIONS: Final = 1_000
CHANGES: Final = 5_000
VALUE_BYTES: Final = range(16, 240)
NO_CONTENT: Final = 204
BY_HAND: Final = "pymongo by hand"
BY_HAND_COLLECTION: Final = "by-hand"
"""Of its own: what is changed beside the sidecar would be told to it, and cost it time."""


class Case(Struct, frozen=True):
    """So many changes at once, on so many sessions."""

    name: str
    what: str
    concurrency: int
    sessions: int
    target: float


CASES: Final = (
    Case("write-1", "one at a time", 1, SESSIONS, 0.9),
    Case("write-64", "64 at once on different sessions", 64, SESSIONS, 2.0),
    Case("write-64-same", "64 at once on one session", 64, 1, 10.0),
)


def measure(settings: Settings) -> Iterator[Row]:
    with warm_sidecar(settings, "writes", SESSIONS) as warm:
        population = members(SESSIONS, chance_of(settings, "writes"))
        _make_indexes(warm.uri)
        store_all(warm.uri, BY_HAND_COLLECTION, population, WORKER)
        for case in CASES:
            yield _row(settings, warm, case)


def _make_indexes(uri: str) -> None:
    """Those that a cluster's collection has: a write keeps them, whoever makes it."""
    client: MongoClient[dict[str, Any]] = MongoClient(uri)
    with client:
        client[DATABASE][BY_HAND_COLLECTION].create_indexes(list(INDEXES))


def _row(settings: Settings, warm: Warm, case: Case) -> Row:
    known = warm.known[: case.sessions]
    changes = drawn_changes(known, chance_of(settings, case.name))
    shots, calls = _patches(settings, changes), _updates(settings, changes)
    seconds, concurrency = settings.seconds, case.concurrency
    asking = partial(
        load, settings, warm.sidecar, shots,
        connections=concurrency, seconds=seconds, status=NO_CONTENT,
    )  # fmt: skip
    updating = partial(
        by_hand, settings, (warm.uri, BY_HAND_COLLECTION), calls,
        concurrency=concurrency, seconds=seconds,
    )  # fmt: skip
    series = alternate(settings, {OURS: asking, BY_HAND: updating})
    what = f"durable `PATCH`, {case.what}"
    against = "`AsyncMongoClient.update_one` with the same change and write concern"
    return rate_row(case.name, (what, against), at_least(case.target), series, BY_HAND)


def drawn_changes(known: Sequence[Known], chance: random.Random) -> list[tuple[Known, str]]:
    """Sessions, and what their attribute `note` becomes."""
    return [
        (chance.choice(known), chance.randbytes(chance.choice(VALUE_BYTES) // 2).hex())
        for _ in range(CHANGES)
    ]


def _patches(settings: Settings, changes: Sequence[tuple[Known, str]]) -> Path:
    shots = (
        Shot(
            f"/v1/sessions/{session.id}", 0, None, hint_header(session.hint), "PATCH",
            json.dumps({"set": {"note": note}}),
        )
        for session, note in changes
    )  # fmt: skip
    return write_shots(settings.folder / "patches.tsv", shots)


def _updates(settings: Settings, changes: Sequence[tuple[Known, str]]) -> Path:
    path = f"context.{encode_key('/')}.note"
    file = settings.folder / "updates.jsonl"
    lines = (
        json.dumps([hashed_key(session.id), {"$set": {path: note}}]) for session, note in changes
    )
    file.write_text("\n".join(lines), encoding="ascii")
    return file
