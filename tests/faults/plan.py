"""What is to go wrong, and when: drawn from a seed, so that it can be had again."""

from __future__ import annotations

import enum
import random
from typing import Final

from msgspec import Struct


class Fault(enum.Enum):
    """What is done to a sidecar's link to the store, to a sidecar or to the store."""

    DELAY = "delay"
    JITTER = "jitter"
    DRIP = "slow drip"
    DROP = "drop"
    HOLD = "hold"
    """Nothing gets through, and all of it arrives later, as packets that are sent again do."""
    CUT = "cut"
    """Connections are reset, once; new ones are taken."""
    HALF_OPEN = "half-open"
    """Requests arrive, answers do not, and nobody is told."""
    DUPLICATE = "duplicate connection"
    LOST_ANSWER = "answer lost after a write"
    SIDECAR_KILLED = "sidecar killed"
    SIDECAR_KILLED_BEFORE_WRITE = "sidecar killed before a write arrives"
    SIDECAR_KILLED_AFTER_WRITE = "sidecar killed before the answer to a write"
    STORE_KILLED = "store killed"
    STORE_KILLED_BEFORE_WRITE = "store killed before a write arrives"
    STORE_KILLED_AFTER_WRITE = "store killed before its answer to a write"
    SIDECAR_FROZEN = "sidecar frozen"
    STORE_FROZEN = "store frozen"
    DESCRIPTORS = "no descriptors left"


ON_STORE: Final = frozenset(
    {
        Fault.STORE_KILLED,
        Fault.STORE_KILLED_BEFORE_WRITE,
        Fault.STORE_KILLED_AFTER_WRITE,
        Fault.STORE_FROZEN,
    }
)
ON_LINK: Final = frozenset(
    {
        Fault.DELAY,
        Fault.JITTER,
        Fault.DRIP,
        Fault.DROP,
        Fault.HOLD,
        Fault.CUT,
        Fault.HALF_OPEN,
        Fault.DUPLICATE,
        Fault.LOST_ANSWER,
        Fault.SIDECAR_KILLED_BEFORE_WRITE,
        Fault.SIDECAR_KILLED_AFTER_WRITE,
    }
)
"""Those that take a link; so do those of the store."""

PAUSE_SECONDS: Final = (0.3, 2.0)
LASTS_SECONDS: Final = (0.3, 4.0)
CALM_SECONDS: Final = 20.0
"""After every kind once: long enough for an idle session to end with nobody hindered meanwhile."""


class Planned(Struct, frozen=True):
    """A fault that begins `at` seconds after the start and lasts `seconds`.

    `target` is the number of a sidecar; faults of the store are all sidecars' own.
    """

    at: float
    fault: Fault
    target: int
    seconds: float


def plan(
    seed: int, seconds: float, sidecars: int, spared: frozenset[Fault] = frozenset()
) -> list[Planned]:
    """The faults of so many seconds: all kinds but the spared, in any order, then again."""
    kinds = [fault for fault in Fault if fault not in spared]
    # Where there are few, they come several times before the rest.
    rounds = len(Fault) // max(1, len(kinds))
    chance = random.Random(seed)
    planned: list[Planned] = []
    waiting: list[Fault] = []
    at = chance.uniform(*PAUSE_SECONDS)
    while kinds and at < seconds:
        if not waiting:
            waiting = chance.sample(kinds * rounds, len(kinds) * rounds)
            at += CALM_SECONDS if planned else 0
            continue
        lasts = min(chance.uniform(*LASTS_SECONDS), max(0.3, seconds - at))
        planned.append(Planned(at, waiting.pop(), chance.randrange(sidecars), lasts))
        at += chance.uniform(*PAUSE_SECONDS)
    return planned


def skews(seed: int, seconds: float, worker: int) -> list[tuple[float, float]]:
    """From when on a node's clock is how far off, both in seconds: minutes, with steps."""
    chance = random.Random(f"{seed} {worker}")
    steps = [(0.0, chance.uniform(-600, 600))]
    at = chance.uniform(5, 20)
    while at < seconds:
        steps.append((at, chance.uniform(-600, 600)))
        at += chance.uniform(5, 30)
    return steps
