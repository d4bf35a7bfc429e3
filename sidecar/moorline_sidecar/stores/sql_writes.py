"""Carrying out the port's conditional writes in one transaction, and what became of each.

The rows are locked in the order of their keys, so that two batches never wait for each other. What
is decided on a locked row holds until the end of the transaction; each update names the version
all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Row, bindparam, delete, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from moorline_sidecar.domain.differences import added_contexts, changed_attributes
from moorline_sidecar.domain.session import Reason
from moorline_sidecar.stores.base import Change, End, Outcome, Touch, Write
from moorline_sidecar.stores.sql_changes import note_changes
from moorline_sidecar.stores.sql_dialects import Dialect
from moorline_sidecar.stores.sql_rows import (
    Values,
    access_of,
    attribute_values,
    context_values,
    recent_text,
)
from moorline_sidecar.stores.sql_tables import Tables

_LOCKED: Final = (
    *("id", "valid", "version", "accessed", "expiry", "last_node", "write_id"),
    *("max_idle", "cookie_set", "principal", "recent"),
)
CONTENT: Final = (
    *("last_accessed", "expiry", "deadline", "max_idle", "last_node", "last_saved"),
    *("cookie_set", "principal", "recent"),
)
"""What a session has and a tombstone does not, unless it is in its grace."""


def padded(keys: Iterable[str]) -> list[str]:
    """The keys in their order, the last one repeated until there are a power of two.

    Servers and drivers keep prepared what they have seen: so there are few statements to know.
    """
    ordered = sorted(set(keys))
    size = 1 << (len(ordered) - 1).bit_length()
    return ordered + ordered[-1:] * (size - len(ordered))


class Writer:
    """The statements of one set of tables."""

    def __init__(self, tables: Tables, dialect: Dialect) -> None:
        sessions, attributes = tables.sessions, tables.attributes
        self._lock = (
            select(*(sessions.c[name] for name in _LOCKED))
            .where(sessions.c.id.in_(bindparam("keys", expanding=True)))
            .order_by(sessions.c.id)
            .with_for_update()
        )
        # What is set are the columns that the values name.
        self._update = update(sessions).where(
            sessions.c.id == bindparam("b_id"),
            sessions.c.valid == true(),
            sessions.c.version == bindparam("b_version"),
        )
        self._touch = update(sessions).where(
            sessions.c.id == bindparam("b_id"),
            sessions.c.valid == true(),
            sessions.c.accessed <= bindparam("b_accessed"),
            sessions.c.max_idle == bindparam("b_max_idle"),
        )
        self._changes = tables.changes
        self._set = dialect.upsert(attributes)
        self._unset = delete(attributes).where(
            attributes.c.id == bindparam("b_id"),
            attributes.c.context == bindparam("b_context"),
            attributes.c.name == bindparam("b_name"),
        )
        self._drop = delete(attributes).where(
            attributes.c.id.in_(bindparam("keys", expanding=True))
        )

    async def write(self, connection: AsyncConnection, writes: Sequence[Write]) -> list[Outcome]:
        """What became of each write, in order, once the transaction is committed."""
        keys = {"keys": padded(write.key for write in writes)}
        found = {row.id: row for row in await connection.execute(self._lock, keys)}
        outcomes = [_outcome(write, found.get(write.key)) for write in writes]
        applied = [
            (write, found[write.key])
            for write, outcome in zip(writes, outcomes, strict=True)
            if outcome is None
        ]
        await self._apply_changes(
            connection, [(each, row) for each, row in applied if isinstance(each, Change)]
        )
        await self._apply_ends(
            connection, [(each, row) for each, row in applied if isinstance(each, End)]
        )
        if self._changes is not None:
            await note_changes(connection, self._changes, map(_noted, applied))
        return [outcome or Outcome.APPLIED for outcome in outcomes]

    async def touch(self, connection: AsyncConnection, touches: Sequence[Touch]) -> None:
        values = [
            {
                "b_id": touch.key,
                "b_accessed": touch.accessed,
                "b_max_idle": touch.max_idle_ms,
                "accessed": touch.accessed,
                "last_accessed": touch.last_accessed,
                "expiry": touch.expiry,
                "last_node": touch.last_node,
                "last_saved": touch.now,
                "renew_of": None,
            }
            for touch in sorted(touches, key=lambda touch: touch.key)
        ]
        await connection.execute(self._touch, values)

    async def _apply_changes(
        self, connection: AsyncConnection, changes: Sequence[tuple[Change, Row[Any]]]
    ) -> None:
        if not changes:
            return
        await connection.execute(self._update, [_changed(change, row) for change, row in changes])
        sets: list[Values] = []
        unsets: list[Values] = []
        for change, _ in changes:
            _add_attributes(change, sets, unsets)
        if unsets:
            await connection.execute(self._unset, unsets)
        if sets:
            await connection.execute(self._set, sets)

    async def _apply_ends(
        self, connection: AsyncConnection, ends: Sequence[tuple[End, Row[Any]]]
    ) -> None:
        with_grace = [_ended(end, row) for end, row in ends if end.grace_until is not None]
        without = [
            _ended(end, row) | dict.fromkeys(CONTENT)
            for end, row in ends
            if end.grace_until is None
        ]
        if with_grace:
            await connection.execute(self._update, with_grace)
        if without:
            await connection.execute(self._update, without)
            keys = padded(values["b_id"] for values in without)
            await connection.execute(self._drop, {"keys": keys})


def _noted(applied: tuple[Write, Row[Any]]) -> tuple[str, int, Reason | None]:
    write, row = applied
    return row.id, row.version + 1, write.reason if isinstance(write, End) else None


def _outcome(write: Write, row: Row[Any] | None) -> Outcome | None:
    """None: it is to be applied."""
    if row is None:
        return Outcome.ABSENT
    if row.valid and _guards_hold(write, row):
        return None
    if write.write_id and row.write_id == write.write_id:
        return Outcome.APPLIED
    return Outcome.CONFLICT if row.valid else Outcome.ENDED


def _guards_hold(write: Write, row: Row[Any]) -> bool:
    if isinstance(write, Change):
        before = write.before
        return bool(row.version == before.version) and before.write_id in {"", row.write_id}
    return (
        write.version in {None, row.version}
        and write.content_id in {"", row.write_id}
        and write.access in {None, access_of(row)}
    )


def _changed(change: Change, row: Row[Any]) -> Values:
    """What only `after` says; of the rest, and of times, what is stored."""
    before, after = change.before, change.after
    max_idle, expiry = row.max_idle, after.expiry
    if after.max_idle_ms != before.max_idle_ms:
        max_idle = after.max_idle_ms
    else:
        # A touch may have come in between: it writes times, and leaves the version as it is.
        expiry = max((e for e in (row.expiry, expiry) if e is not None), default=None)
    is_same = {
        "cookie_set": after.cookie_set == before.cookie_set,
        "principal": after.principal == before.principal,
        "recent": after.recent == before.recent,
    }
    return {
        "b_id": row.id,
        "b_version": row.version,
        "version": after.version,
        "write_id": after.write_id,
        "accessed": max(row.accessed, after.accessed),
        "last_accessed": after.last_accessed,
        "expiry": expiry,
        "max_idle": max_idle,
        "last_node": after.last_node,
        "last_saved": after.last_saved,
        "cookie_set": row.cookie_set if is_same["cookie_set"] else after.cookie_set,
        "principal": row.principal if is_same["principal"] else after.principal,
        "recent": row.recent if is_same["recent"] else recent_text(after.recent),
        # Whoever changes a copy serves it: its renew has happened.
        "renew_of": None,
    }


def _add_attributes(change: Change, sets: list[Values], unsets: list[Values]) -> None:
    added: Mapping[str, Mapping[str, Any]] = added_contexts(change.before, change.after)
    for context, attributes in added.items():
        sets += context_values(change.key, context, attributes)
    for changed in changed_attributes(change.before, change.after):
        if changed.is_set:
            sets.append(attribute_values(change.key, changed.context, changed.name, changed.value))
        else:
            unsets.append(
                {"b_id": change.key, "b_context": changed.context, "b_name": changed.name}
            )


def _ended(end: End, row: Row[Any]) -> Values:
    return {
        "b_id": row.id,
        "b_version": row.version,
        "version": row.version + 1,
        "write_id": end.write_id,
        "valid": False,
        "invalidated": end.now,
        "reason": end.reason.value,
        "renewed_to": end.renewed_to,
        "grace_until": end.grace_until,
        "renew_of": None,
    }
