"""Finding records in a directory of any size, in memory that does not grow with it.

A search goes over the folders, of which it holds one at a time, and reads names and times alone; it
opens what is due. Where somebody waits for the answer it ends in time with what it has found by
then, and the next one goes on in the next folder. A full round of a million files takes seconds.
"""

from __future__ import annotations

import heapq
import os
import stat
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import Final, TypeGuard

import structlog
from msgspec import Struct

from moorline_sidecar.domain.session import Record, Session
from moorline_sidecar.errors import StoreUnavailable
from moorline_sidecar.stores.base import Purge, PurgeKind, Summary
from moorline_sidecar.stores.file_calls import Call
from moorline_sidecar.stores.file_changes import CHUNK
from moorline_sidecar.stores.file_disk import NEW
from moorline_sidecar.stores.file_format import Due, Kind, due_by, due_of
from moorline_sidecar.stores.file_locks import holding
from moorline_sidecar.stores.file_tree import (
    SHARDS,
    Tree,
    is_name,
    principal_prefix,
)
from moorline_sidecar.stores.transitions import is_purgeable, summary_of

SLICE_SECONDS: Final = 1.5
"""For a search that somebody waits for: its answer is due after 2.5 s."""

DELETING_SECONDS: Final = 3.0
"""Of the time of a purge, for deleting what its search has found."""

EVER: Final = 1 << 62
"""Later than everything, in milliseconds."""

ABANDONED_SECONDS: Final = 3_600.0
"""A file that is being written is in its place, or gone, after seconds."""

log = structlog.get_logger(__name__)


class Found(Struct, frozen=True, order=True):
    """A file, by when it is due."""

    due: int
    name: str
    kind: Kind


class Round:
    """Where one kind of search stands: which folder is next, and how many in a row were finished.

    Folders are finished one by one, by whichever call gets to them.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._next = 0
        self._finished = 0

    def begin(self) -> int:
        """The folder to go on with."""
        return self._next

    def finish(self, shard: int) -> None:
        with self._mutex:
            self._next = (shard + 1) % len(SHARDS)
            self._finished += 1

    def begin_anew(self) -> None:
        """Something was found: what is finished by now does not count."""
        with self._mutex:
            self._finished = 0

    @property
    def is_complete(self) -> bool:
        return self._finished >= len(SHARDS)


class Wanted(Struct, frozen=True):
    """Files of these kinds that are due before it."""

    kinds: frozenset[Kind]
    before: int = EVER


def search(
    tree: Tree, call: Call, place: Round, wanted: Wanted, seconds: float = SLICE_SECONDS
) -> Generator[Found, None, None]:
    """What is wanted, in no order, from all folders if there is time.

    One that does not tell its kind is opened, and tells it from then on.
    """
    until = time.monotonic() + seconds
    first = place.begin()
    for number in range(first, first + len(SHARDS)):
        call.check()
        if time.monotonic() > until:
            return
        shard = number % len(SHARDS)
        with tree.shard(SHARDS[shard]) as folder:
            for name, due in _entries(tree, folder):
                if due.kind in wanted.kinds and due.at < wanted.before:
                    yield Found(due.at, name, due.kind)
        place.finish(shard)


def first_of(found: Iterator[Found], limit: int) -> list[Found]:
    """Those due first; holds no more than that."""
    return heapq.nsmallest(limit, found)


def due_for(purge: Purge) -> Wanted:
    """What a purge has to look at."""
    if purge.kind is PurgeKind.INVALID:
        return Wanted(frozenset({Kind.TOMBSTONE, Kind.GRACE}), purge.before)
    kinds = frozenset({Kind.SESSION, Kind.ENDLESS, Kind.COPY})
    return Wanted(kinds, max(purge.now + 1, purge.before))


def purgeable(tree: Tree, call: Call, purge: Purge, limit: int) -> int:
    """How many there are, counted up to `limit` (0: all)."""
    count, place = 0, Round()
    with closing(search(tree, call, place, due_for(purge), call.seconds_left)) as found:
        for each in found:
            record = tree.head_of(each.name)
            count += record is not None and is_purgeable(record, purge)
            if limit and count >= limit:
                return count
    if not place.is_complete:
        raise StoreUnavailable("there are too many files to be counted in time")
    return count


def some_purgeable(tree: Tree, call: Call, place: Round, purge: Purge, limit: int) -> list[str]:
    """The names of up to `limit` of them; none of a folder is passed over that `place` finishes."""
    seconds = call.seconds_left - DELETING_SECONDS
    with closing(search(tree, call, place, due_for(purge), seconds)) as found:
        names = (
            each.name
            for each in found
            if (record := tree.head_of(each.name)) is not None and is_purgeable(record, purge)
        )
        return list(islice(names, limit))


def count_files(tree: Tree, call: Call) -> int:
    """How many names of sessions there are."""
    count = 0
    for shard in SHARDS:
        call.check()
        with tree.shard(shard) as folder, os.scandir(folder) as entries:
            count += sum(is_name(entry.name) for entry in entries)
    return count


def sessions_of(
    tree: Tree, call: Call, principal: str, after: str | None, limit: int
) -> tuple[list[Summary], list[str]]:
    """Up to `limit` of them, by key; and names of files that are marked, but not theirs."""
    stale: list[str] = []

    def summaries() -> Iterator[Summary]:
        for name in _marked(tree, principal):
            call.check()
            record = tree.head_of(name)
            if not is_of(record, principal):
                if len(stale) < limit:
                    stale.append(name)
            elif after is None or record.key > after:
                yield summary_of(record)

    return heapq.nsmallest(limit, summaries(), key=lambda summary: summary.key), stale


def remove_marks(tree: Tree, call: Call, principal: str, names: Sequence[str]) -> None:
    """Remove the marks of files that are not the principal's; whoever writes one is waited for."""
    prefix = principal_prefix(principal)
    for first in range(0, len(names), CHUNK):
        chunk = names[first : first + CHUNK]
        with holding(tree.root, chunk, call), tree.marks(principal) as folder:
            for name in chunk:
                if not is_of(tree.head_of(name), principal):
                    tree.disk.remove(folder, prefix + name)


def is_of(record: Record | None, principal: str) -> TypeGuard[Session]:
    return isinstance(record, Session) and record.principal == principal


def tidy(tree: Tree, call: Call) -> None:
    """Remove what writers left behind that died, and tell of what is not Moorline's."""
    before = time.time() - ABANDONED_SECONDS
    foreign = 0
    for shard in SHARDS:
        call.check()
        with tree.shard(shard) as folder, os.scandir(folder) as entries:
            for entry in entries:
                if is_name(entry.name):
                    continue
                # The time of modification says something else, and nobody can set this one.
                if entry.name.endswith(NEW) and entry.stat(follow_symlinks=False).st_ctime < before:
                    tree.disk.remove(folder, entry.name)
                else:
                    foreign += not entry.name.endswith(NEW)
    if foreign:
        log.warning("there are files among the sessions that are none", files=foreign)


def _marked(tree: Tree, principal: str) -> Iterator[str]:
    prefix = principal_prefix(principal)
    with tree.marks(principal) as folder, os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name.removeprefix(prefix)
            if name != entry.name and is_name(name):
                yield name


def _entries(tree: Tree, folder: int) -> Iterator[tuple[str, Due]]:
    with os.scandir(folder) as entries:
        named = [entry for entry in entries if is_name(entry.name)]
    # As they lie on the disk, which is read from front to back then, and not here and there.
    named.sort(key=os.DirEntry.inode)
    for entry in named:
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(status.st_mode):
            continue
        due = due_by(status.st_mtime_ns)
        if due.kind is Kind.UNKNOWN:
            record = tree.head(folder, entry.name, sets_time=True)
            if record is None:
                continue
            due = due_of(record)
        yield entry.name, due
