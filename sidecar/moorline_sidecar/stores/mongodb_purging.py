"""Deleting what is due: by the condition alone where nobody counts, by keys where there is a limit.

To find keys and to delete those costs several times what the deletion does. A window of time bounds
it as well: what is due goes newest first, a window at a time, each as wide as those before suggest.
Where there are few records altogether, one call deletes all that is due.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from bson.datetime_ms import DatetimeMS
from pymongo import DESCENDING

from moorline_sidecar.stores.base import Purge, PurgeKind
from moorline_sidecar.stores.mongodb_commands import Collection
from moorline_sidecar.stores.mongodb_documents import date
from moorline_sidecar.stores.mongodb_updates import purge_filter

BATCH: Final = 1_000
"""Records of a window that are deleted by their keys."""

KEYS_MAX: Final = 100
"""Keys in one condition: a server that compares them one by one would take the square of it."""

FIRST_MS: Final = 3_600_000
WIDEST_MS: Final = 24 * 3_600_000
GROWTH: Final = 4

FEW: Final = 1_000
SHORT_SECONDS: Final = 1.0
"""What deleted fewer, or took less, is followed by more: most of it may have been on the way."""

MANY: Final = 10_000
LONG_SECONDS: Final = 5.0
"""What deleted more and took longer is followed by less: the purge may have to end."""

Filter: TypeAlias = dict[str, Any]


class Window:
    """Where a purge is: what it has deleted is newer than `until`, in milliseconds.

    Nothing depends on it but how much one call deletes. After a call that failed a window
    `is_dense`: its records are deleted by their keys.
    """

    def __init__(self, purge: Purge | None = None) -> None:
        self.purge = purge
        self.until: int | None = None
        self.width = FIRST_MS
        self.is_dense = False

    def begin(self) -> None:
        """Note that the window is being deleted; should that fail, the next try is with less."""
        self.is_dense = True
        self.width = max(self.width // GROWTH, 1)

    def end(self, lower: int, width: int, deleted: int, seconds: float) -> None:
        """Go on below `lower`, after a window of that width took so long."""
        self.until, self.width, self.is_dense = lower, width, False
        if deleted < FEW or seconds < SHORT_SECONDS:
            self.width = min(width * GROWTH, WIDEST_MS)
        elif deleted > MANY and seconds > LONG_SECONDS:
            self.width = max(width // GROWTH, 1)


class Purger:
    """Deletes what a purge without a limit is to delete, a window a call.

    All that is due is one window where the collection has no more than `whole_max` records.
    """

    def __init__(self, whole_max: int = MANY) -> None:
        self._whole_max = whole_max
        self._window = Window()

    async def purge(self, sessions: Collection, purge: Purge) -> int:
        """How many were deleted; 0: none is left."""
        if purge != self._window.purge:
            self._window = Window(purge)
        window, due, field = self._window, purge_filter(purge), _field(purge)
        if not window.is_dense and await sessions.estimated_document_count() <= self._whole_max:
            window.is_dense = True
            deleted = (await sessions.delete_many(due)).deleted_count
            window.is_dense = False
            return deleted
        while True:
            if window.until is not None:
                deleted = await _delete_window(sessions, due, field, window)
                if deleted:
                    return deleted
            newest = await _newest(sessions, due, field)
            if newest is None:
                return 0
            window.until = newest + 1


async def purge_some(sessions: Collection, due: Mapping[str, Any], limit: int) -> int:
    """How many were deleted, at most `limit`; 0: none is left."""
    # Others may delete, or access, between the two steps: none deleted is not none left.
    while keys := await _keys(sessions, due, limit):
        deleted = 0
        for first in range(0, len(keys), KEYS_MAX):
            chosen = {"_id": {"$in": keys[first : first + KEYS_MAX]}, **due}
            deleted += (await sessions.delete_many(chosen)).deleted_count
        if deleted:
            return deleted
    return 0


async def _delete_window(sessions: Collection, due: Filter, field: str, window: Window) -> int:
    assert window.until is not None  # noqa: S101 what the caller has found
    width, lower = window.width, window.until - window.width
    due = {**due, field: {"$gte": date(lower), "$lt": date(window.until)}}
    if window.is_dense:
        deleted = await purge_some(sessions, due, BATCH)
        if not deleted:
            window.end(lower, max(width // GROWTH, 1), 0, LONG_SECONDS)
        return deleted
    started = time.monotonic()
    window.begin()
    deleted = (await sessions.delete_many(due)).deleted_count
    window.end(lower, width, deleted, time.monotonic() - started)
    return deleted


async def _newest(sessions: Collection, due: Filter, field: str) -> int | None:
    """The time of the newest record that is due; None: there is none."""
    found = await sessions.find_one(due, (field,), sort=[(field, DESCENDING)])
    moment = None if found is None else found[field]
    return int(moment) if isinstance(moment, DatetimeMS) else None


async def _keys(sessions: Collection, due: Mapping[str, Any], limit: int) -> list[str]:
    cursor = sessions.find(due, ("_id",), limit=limit, batch_size=limit)
    return [document["_id"] for document in await cursor.to_list()]


def _field(purge: Purge) -> str:
    return "invalidated" if purge.kind is PurgeKind.INVALID else "accessed"
