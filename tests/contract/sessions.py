"""Sessions and writes for tests, with every field that a test does not care about filled in."""

import itertools
import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

from moorline_sidecar.domain.session import Json, Reason, Record, Session, Tombstone
from moorline_sidecar.stores.base import (
    AccessGuard,
    Change,
    End,
    Outcome,
    SessionStore,
    Touch,
    Write,
)
from moorline_sidecar.stores.registry import Member
from msgspec.structs import replace

T0: Final = 1_800_000_000_000
"""A moment in milliseconds since 1970, when all sessions of the tests begin."""

IDLE: Final = 1_800_000

_write_ids = itertools.count()
_keys = itertools.count()


def fresh_key() -> str:
    """A key for each example of a property, all of which share a store."""
    return f"key-{next(_keys)}"


def write_id() -> str:
    """Another one for each write, of whichever process."""
    return f"write-{os.getpid()}-{next(_write_ids)}"


def a_session(key: str = "session-1", **fields: object) -> Session:
    defaults: dict[str, Any] = {
        "version": 1,
        "created": T0,
        "accessed": T0,
        "last_accessed": T0,
        "max_idle_ms": IDLE,
        "expiry": T0 + IDLE,
        "last_node": "node0",
        "last_saved": T0,
        "cookie_set": T0,
        "write_id": write_id(),
        "contexts": {"/": {"user": "ada", "cart": [1, 2]}},
    }
    return Session(key=key, **(defaults | fields))


def changed(before: Session, /, **fields: object) -> Change:
    """The change that gives a session these fields."""
    numbered = {"version": before.version + 1, "write_id": write_id()}
    return Change(before=before, after=replace(before, **(numbered | fields)))


def with_attributes(
    before: Session,
    attributes: Mapping[str, Json],
    unset: Sequence[str] = (),
    context: str = "/",
) -> Change:
    """The change that sets these attributes of a context, and keeps the others."""
    kept = {
        name: value for name, value in before.contexts.get(context, {}).items() if name not in unset
    }
    return changed(before, contexts={**before.contexts, context: {**kept, **attributes}})


def an_end(key: str = "session-1", **fields: object) -> End:
    defaults: dict[str, Any] = {
        "write_id": write_id(),
        "now": T0 + 5_000,
        "reason": Reason.LOGOUT,
    }
    return End(key=key, **(defaults | fields))


def a_touch(session: Session, at: int, **fields: object) -> Touch:
    defaults: dict[str, Any] = {
        "accessed": at,
        "last_accessed": session.accessed,
        "expiry": at + session.max_idle_ms,
        "max_idle_ms": session.max_idle_ms,
        "last_node": "node7",
        "now": at + 3,
    }
    return Touch(key=session.key, **(defaults | fields))


def a_member(process: str = "1f", **fields: object) -> Member:
    defaults: dict[str, Any] = {
        "worker": "node1",
        "pod": "shop-1",
        "version": "1.0.0",
        "since": T0,
        "beat": T0 + 10,
        "sessions": 3,
        "unsaved": 1,
    }
    return Member(process=process, **(defaults | fields))


def access_of(session: Session) -> AccessGuard:
    return AccessGuard(session.accessed, session.expiry, session.last_node)


async def stored(store: SessionStore, key: str = "session-1") -> Record | None:
    return (await store.load([key])).get(key)


async def stored_session(store: SessionStore, key: str = "session-1") -> Session:
    record = await stored(store, key)
    assert isinstance(record, Session)
    return record


async def stored_tombstone(store: SessionStore, key: str = "session-1") -> Tombstone:
    record = await stored(store, key)
    assert isinstance(record, Tombstone)
    return record


async def written(store: SessionStore, write: Write) -> Outcome:
    """What became of a single write."""
    (outcome,) = await store.write([write])
    return outcome


async def inserted(store: SessionStore, key: str = "session-1", **fields: object) -> Session:
    session = a_session(key, **fields)
    await store.insert(session)
    return session
