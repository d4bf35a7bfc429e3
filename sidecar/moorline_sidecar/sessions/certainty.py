"""Writes whose outcome gets known, even when the store's answer is lost.

Every write carries a `write_id` and is guarded, so repeating it is safe: it is applied once at most
and whether by the first try or a later one is told by the `write_id` in the record. Only when
somebody else wrote on top before we looked, or the store stays away, it stays unknown.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from msgspec import structs

from moorline_sidecar.domain.session import Record, Session, Tombstone
from moorline_sidecar.errors import (
    AlreadyExists,
    OutcomeUnknown,
    Overloaded,
    StoreRefused,
    StoreUnavailable,
)
from moorline_sidecar.sessions.core import Core, served_session
from moorline_sidecar.sessions.journal import Sent
from moorline_sidecar.stores.base import Change, End, Outcome, Write

RESOLVE_MS: Final = 2_500
"""For how long an unknown outcome is looked into, the write itself included."""

PAUSE_SECONDS: Final = 0.05

T = TypeVar("T")


async def write_surely(core: Core, write: Write, *, may_stay_unknown: bool = False) -> Outcome:
    """What became of the write.

    `may_stay_unknown`: the caller can repeat it when the store is back, and does not wait for that.

    Raises:
        StoreUnavailable: surely not applied.
        OutcomeUnknown: perhaps applied, perhaps later yet.
    """
    outcome, was_in_doubt = await _until_known(
        core, lambda: core.write(write), may_stay_unknown=may_stay_unknown
    )
    if outcome is Outcome.REFUSED:
        raise StoreRefused("the store refused the write")
    if not was_in_doubt or outcome is Outcome.APPLIED:
        return outcome
    return await _found_later(core, write, outcome)


async def insert_surely(core: Core, session: Session, *, may_stay_unknown: bool = False) -> None:
    """Store a new session; `may_stay_unknown` as for a write.

    Raises:
        AlreadyExists: by another write.
        StoreUnavailable: surely not stored.
        OutcomeUnknown: perhaps stored, perhaps later yet.
    """
    is_stored, was_in_doubt = await _until_known(
        core, lambda: _insert(core, session), may_stay_unknown=may_stay_unknown
    )
    if is_stored:
        return
    if not was_in_doubt or not _is_ours(await load_in_doubt(core, session.key), session):
        raise AlreadyExists("the key is taken")


async def insert_late(core: Core, created: Session) -> None:
    """Store a session that was created in an outage, with its accesses since.

    Others would call it expired without them.

    Raises:
        As `insert_surely`.
    """
    core.availability.check()
    entry = core.l1.peek(created.key)
    current = None if entry is None else served_session(entry)
    if current is not None:
        created = structs.replace(
            created,
            accessed=current.accessed,
            last_accessed=current.last_accessed,
            expiry=current.expiry,
        )
    max_bytes = core.policy.cache_bytes
    await core.journal.note(Sent(created.key, core.clock.now()), max_bytes)
    try:
        await insert_surely(core, created)
    except StoreUnavailable:
        await core.journal.note(Sent(created.key, None), max_bytes)
        raise


async def _until_known(
    core: Core, attempt: Callable[[], Awaitable[T]], *, may_stay_unknown: bool
) -> tuple[T, bool]:
    """What the attempt returns at last, and whether one before it may have been applied."""
    until = core.clock.monotonic() + RESOLVE_MS
    is_in_doubt = False
    while True:
        try:
            return await attempt(), is_in_doubt
        except (OutcomeUnknown, StoreUnavailable, Overloaded) as error:
            if not is_in_doubt and not isinstance(error, OutcomeUnknown):
                raise
            core.counters.unknown_outcomes += not is_in_doubt
            is_in_doubt = True
            if may_stay_unknown and core.availability.is_down:
                raise OutcomeUnknown from error
            await _pause(core, until, error)


async def _insert(core: Core, session: Session) -> bool:
    """False: the key is taken."""
    try:
        await core.availability.call("insert", lambda: core.store.insert(session))
    except AlreadyExists:
        return False
    return True


async def load_in_doubt(core: Core, key: str) -> Record | None:
    """The record; a store that is away now leaves the outcome of the write before unknown."""
    try:
        return await core.load(key)
    except (StoreUnavailable, Overloaded) as error:
        raise OutcomeUnknown from error


async def _found_later(core: Core, write: Write, outcome: Outcome) -> Outcome:
    """The outcome of a write that was repeated and is not on top any more."""
    record = await load_in_doubt(core, write.key)
    if _is_ours(record, write):
        return Outcome.APPLIED
    match write, record:
        case _, None:
            return Outcome.ABSENT
        case End(), Tombstone():
            return Outcome.ENDED
        case End(), Session():
            return outcome
        case Change(), Session() if record.version <= write.before.version:
            return outcome
        case Change(), Session() if _remembers(record, write):
            return Outcome.APPLIED
        case _:
            raise OutcomeUnknown


def _is_ours(record: Record | None, write: Write | Session) -> bool:
    return record is not None and record.write_id == write.write_id


def _remembers(record: Session, change: Change) -> bool:
    """Whether an idempotency key of the change is found: all of a write is applied, or nothing."""
    new_keys = set(change.after.recent) - set(change.before.recent)
    return not new_keys.isdisjoint(record.recent)


async def _pause(core: Core, until: int, error: Exception) -> None:
    """Give the store a moment to come back; when the time is over, say that nobody knows."""
    if core.clock.monotonic() >= until:
        raise OutcomeUnknown from error
    await asyncio.sleep(PAUSE_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 jitter
