"""Traces of keys for caches, drawn at random: Zipf, and the shapes of what shops see."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

TAIL = 1 << 40
"""Keys of visitors who come once begin here, apart from all others."""


def zipf(chance: random.Random, length: int, keys: int, exponent: float) -> list[int]:
    """Independent references: the n-th most popular is drawn in proportion to n**-exponent."""
    weights = itertools.accumulate((rank + 1) ** -exponent for rank in range(keys))
    return chance.choices(range(keys), cum_weights=list(weights), k=length)


def shop(chance: random.Random, length: int, visitors: int) -> list[int]:
    """Users who come for a visit of some pages, and robots whose sessions are used once.

    At any time so many visitors are about; a visit has 12 pages on average and then is over, a
    tenth of the visitors stays the whole day, and two of five new sessions are a robot's.
    """
    return list(itertools.islice(_shop(chance, visitors), length))


def _shop(chance: random.Random, visitors: int) -> Iterator[int]:
    staying, fresh, robots = visitors // 10, itertools.count(), itertools.count(TAIL)
    about = [next(fresh) for _ in range(visitors)]
    while True:
        place = chance.randrange(visitors)
        yield about[place]
        if place >= staying and chance.random() < 1 / 12:
            about[place] = next(fresh)
            if chance.random() < 2 / 5:
                yield next(robots)


def scanned(chance: random.Random, length: int, keys: int) -> list[int]:
    """Zipf, crossed four times by a crawler that touches a quarter of all keys in their order."""
    trace: list[int] = []
    scan = range(keys // 4)
    part = max(1, length // 4 - len(scan))
    while len(trace) < length:
        trace += zipf(chance, part, keys, 0.9)
        trace += [TAIL + key for key in scan]
    return trace[:length]


def shifting(chance: random.Random, length: int, keys: int) -> list[int]:
    """Zipf whose favourites change altogether four times, as between the hours of a day."""
    phase = -(-length // 4)
    drawn = (zipf(chance, phase, keys, 1.0) for _ in range(4))
    moved = (
        [(key + number * keys // 3) % keys for key in part] for number, part in enumerate(drawn)
    )
    return list(itertools.chain.from_iterable(moved))[:length]
