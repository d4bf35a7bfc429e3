"""Changing files: read under a lock, decided, written beside, flushed, and put in their places.

All files of a call are written first and flushed after one another then: the first flush has the
file system write its journal, and the others find their part of it done. A call is given up, or
fails, before anything has been put in its place, or else its outcome is open.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Final, Generic, Self, TypeAlias, TypeVar

import structlog
from msgspec import Struct

from moorline_sidecar.domain.session import Record, Session, Tombstone
from moorline_sidecar.stores.file_calls import Call
from moorline_sidecar.stores.file_disk import Staged
from moorline_sidecar.stores.file_format import (
    FILE_BYTES_MAX,
    due_of,
    encoded,
    time_of,
)
from moorline_sidecar.stores.file_locks import holding
from moorline_sidecar.stores.file_reserve import release
from moorline_sidecar.stores.file_tree import Tree, principal_prefix, shard_of

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The disk is there, and does not take the file."""

CHUNK: Final = 32
"""Files that are locked and written at once; each of them takes two descriptors."""

Answer = TypeVar("Answer")

log = structlog.get_logger(__name__)


class Decision(Struct, Generic[Answer], frozen=True, kw_only=True):
    """What is to become of a file: another record, or none, or what it is."""

    answer: Answer
    after: Record | None = None
    is_removed: bool = False


Decide: TypeAlias = Callable[[Record | None], Decision[Answer]]


class Job(Struct, Generic[Answer], frozen=True):
    """`decide` gets the record of the file with this name; its answer holds if it is applied."""

    name: str
    decide: Decide[Answer]


def change(
    tree: Tree, call: Call, jobs: Sequence[Job[Answer]], *, durable: bool = True
) -> list[Answer | OSError]:
    """The answers in order; an error where the disk does not take a file, which alone failed.

    No two jobs have the same name. Without `durable`, removals may be undone by a crash of the
    machine.

    Raises:
        StoreUnavailable: others held the locks for too long.
        OSError: something else went wrong; what may have been applied is said by `call`.
        GivenUp: nobody waits any more.
    """
    answers: list[Answer | OSError] = []
    for first in range(0, len(jobs), CHUNK):
        call.check()
        chunk = jobs[first : first + CHUNK]
        with holding(tree.root, [job.name for job in chunk], call), _Round(tree, call) as work:
            done = work.carry_out(chunk, durable=durable)
            answers += done
    return answers


class _Change(Generic[Answer]):
    """One job that changes something, on its way."""

    __slots__ = ("after", "before", "error", "folder", "job", "staged")

    def __init__(
        self, job: Job[Answer], folder: int, before: Record | None, after: Record | None
    ) -> None:
        self.job = job
        self.folder = folder
        self.before = before
        self.after = after
        self.staged: Staged | None = None
        self.error: OSError | None = None


class _Round:
    """The jobs of one holding of locks."""

    def __init__(self, tree: Tree, call: Call) -> None:
        self._tree = tree
        self._disk = tree.disk
        self._call = call
        self._stack = ExitStack()
        self._folders: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def carry_out(self, jobs: Sequence[Job[Answer]], *, durable: bool) -> list[Answer | OSError]:
        decided: list[tuple[Answer, _Change[Answer] | None]] = []
        for job in jobs:
            folder = self._folder(shard_of(job.name))
            before = self._tree.record(folder, job.name)
            decision = job.decide(before)
            is_change = decision.after is not None or decision.is_removed
            changing = _Change(job, folder, before, decision.after) if is_change else None
            if changing is not None and before is None and self._tree.exists(folder, job.name):
                # Perhaps the end of a session: nobody may put another in its place.
                changing.error = FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            decided.append((decision.answer, changing))
        changes = _going_on([changing for _, changing in decided if changing is not None])
        if changes:
            self._apply(changes, durable=durable)
        return [
            answer if changing is None or changing.error is None else changing.error
            for answer, changing in decided
        ]

    def _apply(self, changes: Sequence[_Change[Answer]], *, durable: bool) -> None:
        self._mark(changes)
        for each in _going_on(changes):
            self._stage(each)
        for each in _going_on(changes):
            if each.staged is not None:
                with _refusing(each):
                    self._disk.flush(each.staged.descriptor)
        self._call.begin_applying()
        for each in _going_on(changes):
            with _refusing(each):
                self._put_in_place(each)
        if durable:
            for folder in {each.folder for each in _going_on(changes)}:
                self._disk.flush(folder)
        for each in _going_on(changes):
            self._unmark(each)

    def _mark(self, changes: Sequence[_Change[Answer]]) -> None:
        """Have what finds sessions by principal on the disk, before there is anything to find.

        A mark too many is passed over by whoever looks; one too few would hide a session.
        """
        folders: set[int] = set()
        for each in changes:
            principal = _principal(each.after)
            if principal is None or principal == _principal(each.before):
                continue
            folder = self._marks(principal)
            with _refusing(each):
                self._disk.mark(folder, principal_prefix(principal) + each.job.name)
                # Also one that is there: whoever made it may have died before the flush.
                folders.add(folder)
        for folder in folders:
            self._disk.flush(folder)

    def _stage(self, each: _Change[Answer]) -> None:
        if each.after is None:
            return
        data = encoded(each.after)
        with _refusing(each):
            if len(data) > FILE_BYTES_MAX:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
            each.staged = self._staged(each, data, time_of(due_of(each.after)))
            self._stack.callback(each.staged.discard)

    def _staged(self, each: _Change[Answer], data: bytes, time_ns: int) -> Staged:
        while True:
            try:
                return self._disk.stage(each.folder, each.job.name, data, time_ns)
            except OSError as error:
                is_end = isinstance(each.after, Tombstone)
                if error.errno not in FULL or not is_end or not release(self._tree):
                    raise

    def _put_in_place(self, each: _Change[Answer]) -> None:
        if each.staged is None:
            self._disk.remove(each.folder, each.job.name)
        else:
            self._disk.publish(each.staged)

    def _unmark(self, each: _Change[Answer]) -> None:
        principal = _principal(each.before)
        if principal is None or principal == _principal(each.after):
            return
        # One that stays behind is found, and removed, by the next listing of the principal.
        with suppress(OSError):
            self._disk.remove(self._marks(principal), principal_prefix(principal) + each.job.name)

    def _folder(self, shard: str) -> int:
        if shard not in self._folders:
            self._folders[shard] = self._stack.enter_context(self._tree.shard(shard))
        return self._folders[shard]

    def _marks(self, principal: str) -> int:
        place = f"principals/{shard_of(principal_prefix(principal))}"
        if place not in self._folders:
            self._folders[place] = self._stack.enter_context(self._tree.marks(principal))
        return self._folders[place]


class Complaints:
    """Says that files are refused, at most once in a while."""

    PERIOD_SECONDS: Final = 60.0

    def __init__(self) -> None:
        self._quiet_until = 0.0

    def tell(self, error: OSError) -> None:
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + self.PERIOD_SECONDS
            log.error("the disk does not take the files of sessions", why=error.strerror)


@contextmanager
def _refusing(each: _Change[Answer]) -> Iterator[None]:
    """A disk that is full refuses one file, and may take the next."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        each.error = error


def _going_on(changes: Sequence[_Change[Answer]]) -> list[_Change[Answer]]:
    return [each for each in changes if each.error is None]


def _principal(record: Record | None) -> str | None:
    return record.principal if isinstance(record, Session) else None
