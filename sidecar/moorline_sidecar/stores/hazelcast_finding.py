"""Queries, answered from the indexes of the map and bounded in what they answer."""

from __future__ import annotations

from typing import Any, Final

from hazelcast import aggregator, predicate, projection
from hazelcast.config import IndexType
from hazelcast.predicate import Predicate

from moorline_sidecar.stores.base import Purge, PurgeKind
from moorline_sidecar.stores.hazelcast_running import Attempt

INDEXES: Final = {
    "expiry": IndexType.SORTED,
    "accessed": IndexType.SORTED,
    "copied": IndexType.SORTED,
    "graceUntil": IndexType.SORTED,
    "invalidated": IndexType.SORTED,
    "principal": IndexType.HASH,
}
"""By the field that each is of, and named like it."""

ROWS_MAX: Final = 10_000
"""That one query answers, unless so many are of the same millisecond."""

_VALID: Final = predicate.equal("valid", value=True)


async def make_indexes(attempt: Attempt) -> list[str]:
    """Make those that are not there; their names."""
    for name, kind in INDEXES.items():
        await attempt.map.add_index(attributes=[name], index_type=kind, name=name)
    return list(INDEXES)


async def earliest(
    attempt: Attempt, field: str, before: int, wanted: int, *others: Predicate
) -> Predicate:
    """What holds of the `wanted` records with the lowest times in `field`, and of few others.

    It holds of all with a time below `before`, where they are few.
    """
    low, high = 0, before
    count = await _count(attempt, _below(field, high, others))
    if count > ROWS_MAX:
        low = int(await attempt.map.aggregate(aggregator.min_(field), _below(field, high, others)))
    while count > ROWS_MAX and high - low > 1:
        # As if they were spread evenly.
        middle = low + max(1, (high - low) * max(wanted, ROWS_MAX // 2) // count)
        middle = min(middle, high - 1)
        below = await _count(attempt, _below(field, middle, others))
        if below >= wanted:
            high, count = middle, below
        else:
            low = middle
    return _below(field, high, others)


def purgeable(purge: Purge) -> tuple[str, list[Predicate]]:
    """The field whose time is below `purge.before`, and what else holds of what is to be purged."""
    if purge.kind is PurgeKind.INVALID:
        return "invalidated", []
    is_over = predicate.or_(
        predicate.equal("expiry", None), predicate.less_or_equal("expiry", purge.now)
    )
    return "accessed", [_VALID, is_over]


async def count_purgeable(attempt: Attempt, purge: Purge) -> int:
    field, others = purgeable(purge)
    return await _count(attempt, _below(field, purge.before, others))


async def keys_of(attempt: Attempt, where: Predicate) -> list[str]:
    return list(await attempt.map.key_set(where))


async def rows_of(attempt: Attempt, where: Predicate, *fields: str) -> list[list[Any]]:
    """The fields of each record that it holds of."""
    return list(await attempt.map.project(projection.multi_attribute(*fields), where))


async def page_of(
    attempt: Attempt, principal: str, after: str | None, limit: int, *fields: str
) -> list[list[Any]]:
    """The first rows above a key, by key."""
    mine = [predicate.equal("principal", principal)]
    if after is not None:
        mine.append(predicate.greater("__key", after))
    keys = await attempt.map.key_set(predicate.paging(predicate.and_(*mine), limit))
    if not keys:
        return []
    mine.append(predicate.less_or_equal("__key", keys[-1]))
    rows = await rows_of(attempt, predicate.and_(*mine), *fields)
    return sorted(rows, key=lambda row: str(row[0]))[:limit]


def _below(field: str, time: int, others: list[Predicate] | tuple[Predicate, ...]) -> Predicate:
    return predicate.and_(predicate.less(field, time), *others)


async def _count(attempt: Attempt, where: Predicate) -> int:
    return int(await attempt.map.aggregate(aggregator.count(), where))
