"""What the port's verbs make of a record: pure, for stores that read a record and write it whole.

Whoever uses it sees to it that nobody else writes the record in between.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from moorline_sidecar.domain.content import content_of
from moorline_sidecar.domain.differences import added_contexts, changed_attributes
from moorline_sidecar.domain.session import Json, Mark, Record, Session, Tombstone
from moorline_sidecar.stores.base import (
    AccessGuard,
    Change,
    End,
    Outcome,
    Purge,
    PurgeKind,
    Summary,
    Touch,
    Write,
)


def written(stored: Record | None, write: Write) -> tuple[Outcome, Record | None]:
    """What becomes of a write, and the record to store; None: leave it as it is."""
    if stored is None:
        return Outcome.ABSENT, None
    if isinstance(stored, Session) and _guards_hold(write, stored):
        after = _changed(stored, write) if isinstance(write, Change) else _ended(stored, write)
        return Outcome.APPLIED, after
    if write.write_id and stored.write_id == write.write_id:
        return Outcome.APPLIED, None
    return Outcome.CONFLICT if isinstance(stored, Session) else Outcome.ENDED, None


def touched(stored: Record | None, touch: Touch) -> Session | None:
    """The session with its new times; None where the conditions do not hold."""
    if (
        not isinstance(stored, Session)
        or stored.accessed > touch.accessed
        or stored.max_idle_ms != touch.max_idle_ms
    ):
        return None
    return replace(
        stored,
        accessed=touch.accessed,
        last_accessed=touch.last_accessed,
        expiry=touch.expiry,
        last_node=touch.last_node,
        last_saved=touch.now,
        renew_of=None,
    )


def copy_in(stored: Record | None, origin: str) -> Session | None:
    """The session, if it is an unsettled copy of `origin`."""
    return stored if isinstance(stored, Session) and stored.renew_of == origin else None


def settled(copy: Session) -> Session:
    return replace(copy, renew_of=None)


def without_grace(tombstone: Tombstone) -> Tombstone:
    return replace(tombstone, grace=None, grace_until=None)


def is_purgeable(record: Record, purge: Purge) -> bool:
    if purge.kind is PurgeKind.INVALID:
        return isinstance(record, Tombstone) and record.invalidated < purge.before
    return (
        isinstance(record, Session)
        and record.accessed < purge.before
        and (record.expiry is None or record.expiry <= purge.now)
    )


def access_of(session: Session) -> AccessGuard:
    return AccessGuard(session.accessed, session.expiry, session.last_node)


def mark_of(record: Record) -> Mark:
    if isinstance(record, Tombstone):
        return Mark(version=record.version, is_valid=False)
    return Mark(
        version=record.version,
        is_valid=True,
        accessed=record.accessed,
        last_accessed=record.last_accessed,
        expiry=record.expiry,
        max_idle_ms=record.max_idle_ms,
        last_node=record.last_node,
        last_saved=record.last_saved,
        write_id=record.write_id,
    )


def summary_of(session: Session) -> Summary:
    return Summary(
        key=session.key,
        created=session.created,
        accessed=session.accessed,
        expiry=session.expiry,
        last_node=session.last_node,
        renew_of=session.renew_of,
    )


def _guards_hold(write: Write, stored: Session) -> bool:
    if isinstance(write, Change):
        before = write.before
        return stored.version == before.version and before.write_id in {"", stored.write_id}
    return (
        write.version in {None, stored.version}
        and write.content_id in {"", stored.write_id}
        and write.access in {None, access_of(stored)}
    )


def _changed(stored: Session, change: Change) -> Session:
    """`stored` with what the change changes, and nothing else of its `after`."""
    before, after = change.before, change.after
    # A touch may have come in between: it writes times, and leaves the version as it is.
    expiry = after.expiry
    if after.max_idle_ms == before.max_idle_ms:
        expiry = max((e for e in (stored.expiry, expiry) if e is not None), default=None)
    return replace(
        stored,
        version=after.version,
        write_id=after.write_id,
        accessed=max(stored.accessed, after.accessed),
        last_accessed=after.last_accessed,
        expiry=expiry,
        max_idle_ms=after.max_idle_ms,
        last_node=after.last_node,
        last_saved=after.last_saved,
        cookie_set=after.cookie_set,
        principal=after.principal,
        recent=after.recent,
        contexts=_contexts(stored, change),
        renew_of=None,
    )


def _contexts(stored: Session, change: Change) -> Mapping[str, Mapping[str, Json]]:
    if stored.contexts is change.before.contexts:
        return change.after.contexts
    contexts = {context: dict(attributes) for context, attributes in stored.contexts.items()}
    contexts.update(
        (context, dict(attributes))
        for context, attributes in added_contexts(change.before, change.after).items()
    )
    for changed in changed_attributes(change.before, change.after):
        if changed.is_set:
            contexts.setdefault(changed.context, {})[changed.name] = changed.value
        elif changed.context in contexts:
            contexts[changed.context].pop(changed.name, None)
    return content_of(contexts)


def _ended(stored: Session, end: End) -> Tombstone:
    has_grace = end.grace_until is not None
    return Tombstone(
        key=stored.key,
        version=stored.version + 1,
        created=stored.created,
        accessed=stored.accessed,
        invalidated=end.now,
        reason=end.reason,
        write_id=end.write_id,
        renewed_to=end.renewed_to,
        grace_until=end.grace_until,
        grace=replace(stored, write_id="", renew_of=None) if has_grace else None,
    )
