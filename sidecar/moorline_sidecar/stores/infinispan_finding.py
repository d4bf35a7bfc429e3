"""Queries, which the servers answer by looking at each record; bounded in what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from moorline_sidecar.stores import infinispan_wire as wire
from moorline_sidecar.stores.base import BATCH, Purge, PurgeKind
from moorline_sidecar.stores.infinispan_protobuf import Scalar, query, rows_of
from moorline_sidecar.stores.infinispan_records import RECORD
from moorline_sidecar.stores.infinispan_running import Attempt

_EXPIRY_OVER: Final = "(expiry is null or expiry <= :now)"


class Search(Struct, frozen=True, kw_only=True):
    """The fields of the first `limit` messages that `where` holds of; 0: a batch.

    `parameters` are what stands for `:name` in it.
    """

    fields: tuple[str, ...]
    where: str
    parameters: Mapping[str, str | int]
    limit: int = 0
    order: str = ""
    type: str = RECORD

    @property
    def text(self) -> str:
        words = ["select", ", ".join(self.fields), "from", self.type, "where", self.where]
        if self.order:
            words += ["order by", self.order]
        return " ".join(words)


async def rows(attempt: Attempt, cache: str, search: Search) -> list[list[Scalar]]:
    asked = query(search.text, search.limit or BATCH, search.parameters)
    return rows_of((await attempt.ask_one(wire.query(cache, asked))).value)


def earliest(fields: tuple[str, ...], field: str, before: int, limit: int) -> Search:
    """Those with a time in `field` below `before`, in its order."""
    return Search(
        fields=fields,
        where=f"{field} < :before",
        parameters={"before": before},
        limit=limit,
        order=field,
    )


def of_principal(fields: tuple[str, ...], principal: str, after: str | None, limit: int) -> Search:
    """Those above a key, by key."""
    where, parameters = "principal = :principal", {"principal": principal}
    if after is not None:
        where, parameters = f"{where} and key > :after", {**parameters, "after": after}
    return Search(fields=fields, where=where, parameters=parameters, limit=limit, order="key")


def purgeable(fields: tuple[str, ...], purge: Purge, limit: int) -> Search:
    """What is to be purged, in no order."""
    where, parameters = "invalidated < :before", {"before": purge.before}
    if purge.kind is PurgeKind.VALID:
        where = f"live = true and accessed < :before and {_EXPIRY_OVER}"
        parameters = {**parameters, "now": purge.now}
    return Search(fields=fields, where=where, parameters=parameters, limit=limit)


async def count_purgeable(attempt: Attempt, cache: str, purge: Purge) -> int:
    found = await rows(attempt, cache, purgeable(("count(key)",), purge, 1))
    count = found[0][0] if found else 0
    return count if isinstance(count, int) else 0
