"""A load that is unlike the one of the other rows: nothing may hold for that one alone.

Sizes from 200 B to 64 KB, two contexts, and cookies with another worker's suffix, beside sessions
of 1 KB by id. Changes are one request in five in both, and Redis answers with the bytes of the same
sessions. The store is in memory: a durable one would be all that is seen.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from bench.comparing import shown
from bench.creating import created
from bench.figures import ratio
from bench.load import ANY, Sample, load
from bench.population import Member, drawn_attributes, drawn_id, members
from bench.reading import Known
from bench.results import Row, at_least
from bench.rows.hits import CONNECTIONS, fill_redis, redis_load
from bench.servers import Server, Sidecar, redis, sidecar
from bench.settings import Settings
from bench.shots import Shot, hint_header, write_shots
from bench.stage import Series, alternate, chance_of, costs, rates, say

SESSIONS: Final = 1_000
SMALLEST, LARGEST = 200, 64 * 1024
CONTEXTS: Final = ("/", "/admin")
CHANGES: Final = 0.2
NOTE_BYTES: Final = 24


def measure(settings: Settings) -> Iterator[Row]:
    chance = chance_of(settings, "unlike")
    like = [_noted(member) for member in members(SESSIONS, chance)]
    unlike = [_noted(_unlike(chance)) for _ in range(SESSIONS)]
    spec = {"cache": {"maxBytes": "256Mi"}}
    with (
        sidecar(settings, None, spec=spec) as ours,
        redis(settings) as small,
        redis(settings) as mixed,
    ):
        say(f"creating {2 * SESSIONS:,} sessions")
        known = {name: created(ours.url, drawn, CONTEXTS) for name, drawn in
                 (("like", like), ("unlike", unlike))}  # fmt: skip
        stored = {"like": [each[0] for each in known["like"]],
                  "unlike": [read for each in known["unlike"] for read in each]}  # fmt: skip
        rivals = {
            name: _rival(settings, rival, name, stored[name])
            for name, rival in (("like", small), ("unlike", mixed))
        }
        shots = {
            "like": [_by_id(each[0], chance) for each in known["like"] for _ in range(10)],
            "unlike": [_strange(each, chance) for each in known["unlike"] for _ in range(10)],
        }
        yield _row(_series(settings, ours, rivals, shots))


def _rival(
    settings: Settings, rival: Server, name: str, stored: Sequence[Known]
) -> Callable[[], Sample]:
    fill_redis(rival, stored)
    return redis_load(settings, rival, stored, f"redis-{name}")


def _series(
    settings: Settings,
    ours: Sidecar,
    rivals: Mapping[str, Callable[[], Sample]],
    shots: Mapping[str, list[Shot]],
) -> Series:
    contenders: dict[str, Callable[[], Sample]] = {}
    for name, rival in rivals.items():
        file = write_shots(settings.folder / f"{name}.tsv", shots[name])
        contenders[name] = partial(
            load, settings, ours, file,
            connections=CONNECTIONS, seconds=settings.seconds, status=ANY,
        )  # fmt: skip
        contenders[f"redis {name}"] = rival
    return alternate(settings, contenders)


def _row(series: Series) -> Row:
    return Row(
        name="unlike",
        what="200 B to 64 KB, 2 contexts, 20 % changes, cookies with foreign suffixes: its ratio "
        "to Redis",
        against="the ratio of 1 KB sessions by id, with 20 % changes too",
        target=at_least(0.7),
        value=ratio(*(_to_redis(series, name, rates) for name in ("unlike", "like"))),
        cost=ratio(*(_to_redis(series, name, costs) for name in ("like", "unlike"))),
        ours=f"{shown(series['unlike'])}; Redis {shown(series['redis unlike'])}",
        theirs=f"{shown(series['like'])}; Redis {shown(series['redis like'])}",
    )


def _to_redis(series: Series, name: str, of: Any) -> list[float]:  # noqa: ANN401 rates or costs
    pairs = zip(of(series[name]), of(series[f"redis {name}"]), strict=True)
    return [ours / theirs for ours, theirs in pairs]


def _unlike(chance: random.Random) -> Member:
    """Small ones are many: the logarithm of the size is drawn evenly."""
    size = SMALLEST * (LARGEST / SMALLEST) ** chance.random()
    return Member(drawn_id(chance), drawn_attributes(chance, int(size)))


def _noted(member: Member) -> Member:
    """With an attribute that changes and stays as long as it is."""
    return Member(member.id, {**member.attributes, "last": "0" * NOTE_BYTES})


def _by_id(read: Known, chance: random.Random) -> Shot:
    path, headers = f"/v1/sessions/{read.id}", hint_header(read.hint)
    if chance.random() < CHANGES:
        return Shot(path, 0, None, headers, "PATCH", _change(chance))
    return Shot(path, len(read.body), read.id, headers)


def _strange(reads: Sequence[Known], chance: random.Random) -> Shot:
    """By cookie, among others of the browser, or by an id with a suffix; in one of the contexts."""
    number = chance.randrange(len(CONTEXTS))
    read, context = reads[number], f"Moorline-Context: {CONTEXTS[number]}"
    marked = f"{read.id}.jvm{chance.randrange(9)}"
    if chance.choice([True, False]):
        cookies = f"theme=dark; SESSION={marked}; SESSION_at={read.hint}; _ga=GA1.{read.id[:9]}"
        path, known_by = "/v1/session", f"Cookie: {cookies}"
    else:
        path, known_by = f"/v1/sessions/{marked}", f"Moorline-Hint: {read.hint}"
    headers = context, known_by
    if chance.random() < CHANGES:
        return Shot(path, 0, None, headers, "PATCH", _change(chance))
    return Shot(path, len(read.body), read.id, headers)


def _change(chance: random.Random) -> str:
    return json.dumps({"set": {"last": chance.randbytes(NOTE_BYTES // 2).hex()}})
