"""Queries, each answered from the index that Datastore has of one property."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final, TypeVar

from google.cloud.datastore_v1.types import (
    CompositeFilter,
    Entity,
    Filter,
    Key,
    KindExpression,
    Projection,
    PropertyFilter,
    PropertyOrder,
    PropertyReference,
    Query,
    Value,
)

from moorline_sidecar.stores.base import Purge, PurgeKind
from moorline_sidecar.stores.datastore_records import (
    ACCESSED,
    INVALIDATED,
    NUMBERS,
    PRINCIPAL,
    expiry_in,
    key_of,
    time_text,
)
from moorline_sidecar.stores.datastore_running import Attempt

Found = TypeVar("Found")

KEY: Final = "__key__"

_OPERATOR: Final = PropertyFilter.Operator


def all_of(kind: str) -> Query:
    return Query(kind=[KindExpression(name=kind)])


def before(kind: str, name: str, time: int, *, limit: int = 0) -> Query:
    """The earliest first: of a text with what it says beside its time, of a number the keys."""
    is_text = name not in NUMBERS
    value = Value(string_value=time_text(time)) if is_text else Value(integer_value=time)
    query = all_of(kind)
    query.filter = _where(name, _OPERATOR.LESS_THAN, value)
    query.order = [PropertyOrder(property=PropertyReference(name=name))]
    query.projection = [_projected(name if is_text else KEY)]
    if limit:
        query.limit = limit
    return query


def since(kind: str, name: str, time: int, limit: int) -> Query:
    """Whole entities."""
    query = all_of(kind)
    query.filter = _where(name, _OPERATOR.GREATER_THAN_OR_EQUAL, Value(integer_value=time))
    query.limit = limit
    return query


def of_principal(kind: str, principal: str, after: Key | None, limit: int) -> Query:
    """Whole entities, by their keys."""
    mine = _where(PRINCIPAL, _OPERATOR.EQUAL, Value(string_value=principal))
    query = all_of(kind)
    query.filter = mine
    if after is not None:
        above = _where(KEY, _OPERATOR.GREATER_THAN, Value(key_value=after))
        both = CompositeFilter(op=CompositeFilter.Operator.AND, filters=[mine, above])
        query.filter = Filter(composite_filter=both)
    query.order = [PropertyOrder(property=PropertyReference(name=KEY))]
    query.limit = limit
    return query


async def each_of(attempt: Attempt, query: Query, read: Callable[[Entity], Found]) -> list[Found]:
    return [read(result.entity) async for page in attempt.results(query) for result in page]


async def due(attempt: Attempt, kind: str, purge: Purge) -> AsyncGenerator[str, None]:
    """Keys of what a purge is to delete."""
    is_ended = purge.kind is PurgeKind.INVALID
    name = INVALIDATED if is_ended else ACCESSED
    async for page in attempt.results(before(kind, name, purge.before)):
        for result in page:
            if is_ended or _is_over(result.entity, purge.now):
                yield key_of(result.entity)


async def count_due(attempt: Attempt, kind: str, purge: Purge, limit: int) -> int:
    """Up to `limit` (0: all)."""
    if purge.kind is PurgeKind.INVALID:
        return await attempt.count(before(kind, INVALIDATED, purge.before), limit)
    count = 0
    async with aclosing(due(attempt, kind, purge)) as keys:
        async for _ in keys:
            count += 1
            if count == limit:
                break
    return count


def _is_over(session: Entity, now: int) -> bool:
    expiry = expiry_in(session)
    return expiry is None or expiry <= now


def _where(name: str, operator: int, value: Value) -> Filter:
    return Filter(
        property_filter=PropertyFilter(
            property=PropertyReference(name=name), op=operator, value=value
        )
    )


def _projected(name: str) -> Projection:
    return Projection(property=PropertyReference(name=name))
