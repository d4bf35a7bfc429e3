"""The purge: deletes tombstones and long forgotten sessions from a store, in batches.

Flat in memory, and safe to kill at any point and to run twice: each batch is one call of the store,
and nothing is remembered between two of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Final, TextIO, TypeVar

import structlog
from msgspec import Struct

from moorline_sidecar.config import PurgeSettings
from moorline_sidecar.domain.session import Tombstone
from moorline_sidecar.errors import (
    ConfigurationError,
    OutcomeUnknown,
    StoreError,
    StoreUnavailable,
)
from moorline_sidecar.stores.base import Purge, PurgeKind, SessionStore

BATCH: Final = 1_000
"""Records in one call: tens of milliseconds of a server's time, and an end that is soon reached."""

FULL_AGE_MS: Final = 60_000
"""Tombstones stay for a minute even so: writes that are under way must still find them."""

TRIES: Final = 6
FIRST_PAUSE_SECONDS: Final = 0.5
"""Doubled with each try: an election of a primary takes some 12 s, and all tries 15."""

FINISH_SECONDS: Final = 2.0
"""What a batch under way is given when the purge is to end."""

LOG_SECONDS: Final = 10.0
LINE_SECONDS: Final = 0.2

log = structlog.get_logger(__name__)

_T = TypeVar("_T")


class PurgePlan(Struct, frozen=True, kw_only=True):
    """What to delete: ages in milliseconds, 0 for never; `limit` is of each kind, 0 for none."""

    invalid_age_ms: int
    valid_age_ms: int
    limit: int = 0
    is_dry_run: bool = False


class PurgeResult(Struct, frozen=True, kw_only=True, rename="camel"):
    """What was deleted, or would have been in a dry run; not `complete` if it was cut short."""

    invalid_deleted: int = 0
    valid_deleted: int = 0
    dry_run: bool = False
    duration_seconds: float = 0.0
    complete: bool = False


class Progress(Struct, frozen=True, kw_only=True):
    """How far a purge is; `total` is None where nobody counted."""

    deleted: int
    total: int | None
    seconds: float


Report = Callable[[Progress], None]


def plan_of(
    settings: PurgeSettings,
    *,
    limit: int | None = None,
    is_full: bool = False,
    is_dry: bool = False,
) -> PurgePlan:
    """The plan for a SessionCluster's settings; `is_full` takes every tombstone it may."""
    return PurgePlan(
        invalid_age_ms=FULL_AGE_MS if is_full else settings.invalid_age_ms,
        valid_age_ms=settings.valid_age_ms,
        limit=settings.limit if limit is None else limit,
        is_dry_run=is_dry,
    )


class _CutShort(Exception):
    """The purge has to end before it is complete."""


class Purging:
    """One run. It ends early, in good order, when `stop` is set or after `seconds`.

    With `counts_first` it finds out how much there is to do, which costs a pass of its own.
    """

    def __init__(
        self,
        store: SessionStore,
        plan: PurgePlan,
        *,
        seconds: float | None = None,
        report: Report = lambda _: None,
        counts_first: bool = False,
    ) -> None:
        self.stop = asyncio.Event()
        self._store = store
        self._plan = plan
        self._seconds = seconds
        self._report = report
        self._counts_first = counts_first and not plan.is_dry_run
        self._deleted = dict.fromkeys(PurgeKind, 0)
        self._total: int | None = None
        self._is_complete = False
        self._failure: StoreError | None = None
        self._started = self._ended = 0.0

    @property
    def result(self) -> PurgeResult:
        """What is done so far; also of use after `run` has raised."""
        return PurgeResult(
            invalid_deleted=self._deleted[PurgeKind.INVALID],
            valid_deleted=self._deleted[PurgeKind.VALID],
            dry_run=self._plan.is_dry_run,
            duration_seconds=round((self._ended or self._now()) - self._started, 3),
            complete=self._is_complete,
        )

    async def run(self) -> PurgeResult:
        """Purge.

        Raises:
            StoreUnavailable, OutcomeUnknown: the store stayed away through all tries, or until
                the purge had to end.
        """
        self._started = self._now()
        try:
            await self._run()
            self._is_complete = True
        except _CutShort:
            if self._failure is not None:
                raise self._failure from None
            log.warning("the purge was cut short; the next one goes on")
        finally:
            self._ended = self._now()
        return self.result

    async def _run(self) -> None:
        now = await self._call(self._store.now)
        await self._make_what_is_missing()
        passes = _passes(self._plan, now)
        if self._counts_first:
            self._total = sum([await self._count(each) for each in passes])
        if not self._plan.is_dry_run:
            await self._settle_copies(now)
        for each in passes:
            if self._plan.is_dry_run:
                self._deleted[each.kind] = await self._count(each)
            else:
                await self._delete(each)

    async def _make_what_is_missing(self) -> None:
        """A store that nobody has served from yet may have no tables; there is nothing to purge."""
        # Where it fails all may be there: who purges needs no right to make anything.
        with suppress(StoreError, ConfigurationError):
            await self._within_bounds(self._store.prepare)

    async def _settle_copies(self, now: int) -> None:
        """Finish renews that were cut short: without its tombstone a copy counts as orphaned."""
        for copy in await self._call(lambda: self._store.copies(now, BATCH)):
            origins = await self._call(lambda: self._store.load([copy.origin]))  # noqa: B023 - awaited here
            origin = origins.get(copy.origin)
            if isinstance(origin, Tombstone) and origin.renewed_to == copy.key:
                await self._call(lambda: self._store.settle(copy.key, copy.origin))  # noqa: B023 - awaited here

    async def _count(self, purge: Purge) -> int:
        return await self._call(partial(self._store.purgeable, purge, self._plan.limit))

    async def _delete(self, purge: Purge) -> None:
        while not self._is_at_limit(purge.kind):
            deleted = await self._call(lambda: self._store.purge(purge, self._batch(purge.kind)))
            if not deleted:
                return
            self._deleted[purge.kind] += deleted
            done, seconds = sum(self._deleted.values()), self._now() - self._started
            self._report(Progress(deleted=done, total=self._total, seconds=seconds))

    def _is_at_limit(self, kind: PurgeKind) -> bool:
        return bool(self._plan.limit) and self._deleted[kind] >= self._plan.limit

    def _batch(self, kind: PurgeKind) -> int:
        """How many the next call may delete; 0: as many as the store likes to."""
        limit = self._plan.limit
        return min(BATCH, limit - self._deleted[kind]) if limit else 0

    async def _call(self, call: Callable[[], Coroutine[None, None, _T]]) -> _T:
        """Repeated while the store is away: what was applied unnoticed is found done."""
        for attempt in range(TRIES):
            try:
                result = await self._within_bounds(call)
            except (StoreUnavailable, OutcomeUnknown) as error:
                self._failure = error
                log.warning("the store is out of reach", why=str(error))
            else:
                self._failure = None
                return result
            if attempt < TRIES - 1:
                pause = FIRST_PAUSE_SECONDS * 2**attempt
                await self._within_bounds(partial(asyncio.sleep, pause), finish=0)
        raise _CutShort

    async def _within_bounds(
        self, call: Callable[[], Coroutine[None, None, _T]], finish: float = FINISH_SECONDS
    ) -> _T:
        """What `call` returns, unless the purge has to end; then it has `finish` seconds left."""
        left = None if self._seconds is None else self._started + self._seconds - self._now()
        if self.stop.is_set() or (left is not None and left <= 0):
            raise _CutShort
        work, stopped = asyncio.create_task(call()), asyncio.create_task(self.stop.wait())
        try:
            await asyncio.wait({work, stopped}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                await asyncio.wait({work}, timeout=finish)
            if not work.done():
                raise _CutShort
            return work.result()
        finally:
            work.cancel()
            stopped.cancel()
            await asyncio.gather(work, stopped, return_exceptions=True)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _passes(plan: PurgePlan, now: int) -> list[Purge]:
    passes = [Purge(kind=PurgeKind.INVALID, before=now - plan.invalid_age_ms, now=now)]
    if plan.valid_age_ms:
        passes.append(Purge(kind=PurgeKind.VALID, before=now - plan.valid_age_ms, now=now))
    return passes


def terminal_report(stream: TextIO) -> Report:
    """One line that is written over and over."""
    last = -LINE_SECONDS

    def report(progress: Progress) -> None:
        nonlocal last
        if progress.seconds - last >= LINE_SECONDS or progress.deleted == progress.total:
            last = progress.seconds
            stream.write(f"\r\x1b[K{progress_line(progress)}")
            stream.flush()

    return report


def log_report() -> Report:
    """A line of the log once in a while."""
    last = 0.0

    def report(progress: Progress) -> None:
        nonlocal last
        if progress.seconds - last >= LOG_SECONDS:
            last = progress.seconds
            log.info("purging", deleted=progress.deleted, seconds=round(progress.seconds, 1))

    return report


def progress_line(progress: Progress) -> str:
    """`12,000 of 50,000 deleted, 3,400/s, 11 s left`; without a total only what is known."""
    rate = progress.deleted / progress.seconds if progress.seconds > 0 else 0.0
    if progress.total is None:
        return f"{progress.deleted:,} deleted, {rate:,.0f}/s"
    left = max(0, progress.total - progress.deleted)
    remaining = f", {left / rate:,.0f} s left" if rate else ""
    return f"{progress.deleted:,} of {progress.total:,} deleted, {rate:,.0f}/s{remaining}"
