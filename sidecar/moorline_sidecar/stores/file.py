"""One file a session, in a directory of one process or shared by several (docs/stores.md).

A file is never changed: a new one takes its place, by a name that a lock guards. So whoever reads
sees a whole record without a lock, and whoever dies in the middle leaves the old one.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from typing import Final, TypeVar

from moorline_sidecar.domain.session import Mark, Record, Session, Tombstone
from moorline_sidecar.errors import (
    AlreadyExists,
    ConfigurationError,
    OutcomeUnknown,
    StoreError,
    StoreUnavailable,
    TooLarge,
)
from moorline_sidecar.stores.base import (
    BATCH,
    CALL_SECONDS,
    Copy,
    Expired,
    Outcome,
    Purge,
    PurgeKind,
    SessionStore,
    Summary,
    Touch,
    Write,
)
from moorline_sidecar.stores.diagnosis import READY, Diagnosis
from moorline_sidecar.stores.file_calls import Call, GivenUp, Threads
from moorline_sidecar.stores.file_changes import Complaints, Decision, Job, change
from moorline_sidecar.stores.file_diagnosis import diagnose, refused, store_error
from moorline_sidecar.stores.file_disk import Disk
from moorline_sidecar.stores.file_format import Kind, Unreadable
from moorline_sidecar.stores.file_registry import FileRegistry
from moorline_sidecar.stores.file_reserve import replenish
from moorline_sidecar.stores.file_schema import prepare
from moorline_sidecar.stores.file_searches import (
    DELETING_SECONDS,
    Round,
    Wanted,
    count_files,
    first_of,
    purgeable,
    remove_marks,
    search,
    sessions_of,
    some_purgeable,
    tidy,
)
from moorline_sidecar.stores.file_tree import FORMAT_FILE, Reports, Tree, name_of, opened
from moorline_sidecar.stores.transitions import (
    access_of,
    copy_in,
    is_purgeable,
    mark_of,
    settled,
    touched,
    without_grace,
    written,
)

PURGE_SECONDS: Final = 120.0
"""For one batch of a purge, and for counting: nobody waits for the answer, and to read the names
and times of a million files takes so long on a slow disk."""

PREPARE_SECONDS: Final = 60.0
"""For five hundred folders, on a network."""

CALL_THREADS: Final = 8
"""For four loads and four writes at once, as many as a sidecar makes."""

SEARCH_THREADS: Final = 2
"""A search does not keep those waiting that somebody waits for."""

Result = TypeVar("Result")


class FileStore(SessionStore):
    """The sessions of one directory. A `disk` of a test's own fails where it is told to."""

    def __init__(self, directory: str, disk: Disk | None = None) -> None:
        self._directory = directory
        self._disk = disk or Disk()
        self._calls = Threads(CALL_THREADS, "files")
        self._searches = Threads(SEARCH_THREADS, "search of files")
        self._reports = Reports()
        self._complaints = Complaints()
        self._expired, self._copies, self._graces = Round(), Round(), Round()
        self._purges = {kind: Round() for kind in PurgeKind}

    async def load(self, keys: Sequence[str]) -> dict[str, Record]:
        return await self._found(keys, lambda tree, key: tree.load(key))

    async def confirm(self, keys: Sequence[str]) -> dict[str, Mark]:
        heads = await self._found(keys, lambda tree, key: tree.head_of(name_of(key)))
        return {key: mark_of(record) for key, record in heads.items()}

    async def insert(self, session: Session) -> None:
        def decide(stored: Record | None) -> Decision[bool]:
            is_free = stored is None
            return Decision(answer=is_free, after=session if is_free else None)

        if not await self._change(session.key, decide):
            raise AlreadyExists("the key is taken")

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        def decide(write: Write, stored: Record | None) -> Decision[Outcome]:
            outcome, after = written(stored, write)
            return Decision(answer=outcome, after=after)

        jobs = [Job(name_of(write.key), partial(decide, write)) for write in writes]
        answers = await self._run(lambda tree, call: change(tree, call, jobs)) if jobs else []
        return [self._outcome(answer) for answer in answers]

    async def touch(self, touches: Sequence[Touch]) -> None:
        def decide(touch: Touch, stored: Record | None) -> Decision[None]:
            return Decision(answer=None, after=touched(stored, touch))

        jobs = [Job(name_of(touch.key), partial(decide, touch)) for touch in touches]
        if not jobs:
            return
        for answer in await self._run(lambda tree, call: change(tree, call, jobs)):
            if isinstance(answer, OSError):
                # What the disk does not take is left alone.
                self._complaints.tell(answer)

    async def settle(self, key: str, origin: str) -> bool:
        def decide(stored: Record | None) -> Decision[bool]:
            copy = copy_in(stored, origin)
            after = None if copy is None else settled(copy)
            return Decision(answer=copy is not None, after=after)

        return await self._change(key, decide)

    async def discard(self, key: str, origin: str, version: int) -> bool:
        def decide(stored: Record | None) -> Decision[bool]:
            copy = copy_in(stored, origin)
            is_it = copy is not None and copy.version == version
            return Decision(answer=is_it, is_removed=is_it)

        return await self._change(key, decide)

    async def expired(self, before: int, limit: int) -> list[Expired]:
        def find(tree: Tree, call: Call) -> list[Expired]:
            wanted = Wanted(frozenset({Kind.SESSION}), before)
            due = first_of(search(tree, call, self._expired, wanted), limit or BATCH)
            found = [
                (record.expiry, record.key, access_of(record))
                for record in (tree.head_of(each.name) for each in due)
                if isinstance(record, Session)
                and record.renew_of is None
                and record.expiry is not None
                and record.expiry < before
            ]
            return [Expired(key=key, access=access) for _, key, access in sorted(found)]

        return await self._search(find)

    async def copies(self, created_before: int, limit: int) -> list[Copy]:
        def find(tree: Tree, call: Call) -> list[Copy]:
            wanted = Wanted(frozenset({Kind.COPY}), created_before)
            due = first_of(search(tree, call, self._copies, wanted), limit or BATCH)
            return [
                Copy(key=record.key, origin=record.renew_of, version=record.version)
                for record in (tree.head_of(each.name) for each in due)
                if isinstance(record, Session)
                and record.renew_of is not None
                and record.last_saved < created_before
            ]

        return await self._search(find)

    async def drop_grace(self, before: int, limit: int) -> int:
        def decide(stored: Record | None) -> Decision[bool]:
            is_over = _is_over(stored, before)
            after = without_grace(stored) if is_over and isinstance(stored, Tombstone) else None
            return Decision(answer=is_over, after=after)

        def drop(tree: Tree, call: Call) -> int:
            wanted = Wanted(frozenset({Kind.GRACE}))
            with closing(search(tree, call, self._graces, wanted)) as found:
                over = (each.name for each in found if _is_over(tree.head_of(each.name), before))
                names = list(islice(over, limit or BATCH))
            jobs = [Job(name, decide) for name in names]
            answers = change(tree, call, jobs)
            return _count(answers)

        return await self._search(drop)

    async def by_principal(self, principal: str, after: str | None, limit: int) -> list[Summary]:
        def find(tree: Tree, call: Call) -> list[Summary]:
            found, stale = sessions_of(tree, call, principal, after, limit or BATCH)
            if stale:
                remove_marks(tree, call, principal, stale)
            return found

        return await self._run(find)

    async def purge(self, purge: Purge, limit: int) -> int:
        def decide(stored: Record | None) -> Decision[bool]:
            is_due = stored is not None and is_purgeable(stored, purge)
            return Decision(answer=is_due, is_removed=is_due)

        def delete(tree: Tree, call: Call) -> int:
            place = self._purges[purge.kind]
            while call.seconds_left > DELETING_SECONDS:
                names = some_purgeable(tree, call, place, purge, limit or BATCH)
                if not names and place.is_complete:
                    place.begin_anew()
                    tidy(tree, call)
                    replenish(self._disk, tree.root)
                    return 0
                if names:
                    place.begin_anew()
                jobs = [Job(name, decide) for name in names]
                answers = change(tree, call, jobs, durable=False)
                if deleted := _count(answers):
                    return deleted
            raise StoreUnavailable("the search for what to purge takes long; the next one goes on")

        return await self._search(delete, seconds=PURGE_SECONDS)

    async def purgeable(self, purge: Purge, limit: int) -> int:
        return await self._search(
            lambda tree, call: purgeable(tree, call, purge, limit), seconds=PURGE_SECONDS
        )

    def registry(self) -> FileRegistry:
        return FileRegistry(self._run)

    async def count(self) -> int:
        return await self._search(count_files, seconds=PURGE_SECONDS)

    async def now(self) -> int:
        await self._run(lambda tree, _: tree.disk.read(tree.root, FORMAT_FILE))
        return time.time_ns() // 1_000_000

    async def prepare(self) -> list[str]:
        return await self._threaded(
            self._searches, lambda _: prepare(self._disk, self._directory), PREPARE_SECONDS
        )

    async def server(self) -> str:
        def describe(tree: Tree, _: Call) -> str:
            free = os.fstatvfs(tree.root)
            mib = free.f_bavail * free.f_frsize >> 20
            return f"files, {mib:,} MiB and {free.f_favail:,} files free"

        return await self._run(describe)

    async def close(self) -> None:
        self._calls.close()
        self._searches.close()

    async def check(self) -> Diagnosis:
        """Make the folders, and say how it went; no error is raised."""
        try:
            names = tuple(await self.prepare())
            server = await self.server()
        except (StoreError, ConfigurationError) as error:
            return diagnose(self._directory, error)
        detail = f"{self._directory} is in reach ({server})"
        return Diagnosis(reason=READY, detail=detail, server="files", indexes=names)

    async def _found(
        self, keys: Sequence[str], read: Callable[[Tree, str], Record | None]
    ) -> dict[str, Record]:
        def find(tree: Tree, call: Call) -> dict[str, Record]:
            found: dict[str, Record] = {}
            for key in keys:
                call.check()
                record = read(tree, key)
                if record is not None:
                    found[key] = record
            return found

        return await self._run(find) if keys else {}

    async def _change(self, key: str, decide: Callable[[Record | None], Decision[bool]]) -> bool:
        job = Job(name_of(key), decide)
        (answer,) = await self._run(lambda tree, call: change(tree, call, [job]))
        if isinstance(answer, OSError):
            self._complaints.tell(answer)
            if answer.errno == errno.EFBIG:
                raise TooLarge(0, 0) from answer
            raise refused(answer) from answer
        return answer

    def _outcome(self, answer: Outcome | OSError) -> Outcome:
        if not isinstance(answer, OSError):
            return answer
        self._complaints.tell(answer)
        return Outcome.TOO_LARGE if answer.errno == errno.EFBIG else Outcome.REFUSED

    async def _run(self, operation: Callable[[Tree, Call], Result]) -> Result:
        return await self._threaded(self._calls, self._on_tree(operation), CALL_SECONDS)

    async def _search(
        self, operation: Callable[[Tree, Call], Result], seconds: float = CALL_SECONDS
    ) -> Result:
        return await self._threaded(self._searches, self._on_tree(operation), seconds)

    def _on_tree(self, operation: Callable[[Tree, Call], Result]) -> Callable[[Call], Result]:
        def carry_out(call: Call) -> Result:
            with opened(self._disk, self._directory, self._reports) as tree:
                return operation(tree, call)

        return carry_out

    async def _threaded(
        self, threads: Threads, operation: Callable[[Call], Result], seconds: float
    ) -> Result:
        return await threads.run(partial(_translated, operation), seconds)


def _translated(operation: Callable[[Call], Result], call: Call) -> Result:
    """What the operation returns, with errors of the disk as the port's."""
    try:
        return operation(call)
    except OSError as error:
        raise store_error(error, is_applying=call.is_applying) from error
    except (GivenUp, StoreUnavailable, Unreadable) as error:
        if call.is_applying:
            raise OutcomeUnknown(str(error)) from error
        raise StoreUnavailable(str(error)) from error


def _is_over(record: Record | None, before: int) -> bool:
    return (
        isinstance(record, Tombstone)
        and record.grace_until is not None
        and record.grace_until < before
    )


def _count(answers: Sequence[bool | OSError]) -> int:
    return sum(answer is True for answer in answers)
