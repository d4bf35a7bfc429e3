"""A session as a store keeps it: alive, or a tombstone.

Times are milliseconds since 1970 in the store's time. Attribute values are what JSON holds: None,
bool, int (64 bits), float, str, list and dict; binary is `{"$binary": {"base64", "subType"}}`.
Records are immutable: whoever changes one makes a new one that shares what did not change. Contexts
are any mapping; what is kept for long has `content.Content` there.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, TypeAlias

from msgspec import Struct

Json: TypeAlias = Any
"""What `json` knows: recursive, and of no use to a type checker."""


class Reason(enum.StrEnum):
    """Why a session ended."""

    LOGOUT = "logout"
    EXPIRED = "expired"
    RENEWED = "renewed"
    LIMIT = "limit"
    ADMIN = "admin"
    SHUTDOWN = "shutdown"


class Session(Struct, frozen=True, kw_only=True, gc=False):
    """A live session.

    `version` grows with every write that changes; times are no change. `expiry` is None for never,
    and never later than `deadline`, which exists with `maxAge` only. `last_node` is the worker that
    wrote the times. `recent` are the last 16 idempotency keys, newest last. `write_id` names the
    write that made this version, so that a worker whose answer was lost finds its write again.
    `renew_of` is the key of the session that this one is a copy of, until the swap is done: nobody
    is served it before.
    """

    key: str
    version: int
    created: int
    accessed: int
    last_accessed: int
    max_idle_ms: int
    expiry: int | None
    deadline: int | None = None
    last_node: str
    last_saved: int
    cookie_set: int
    principal: str | None = None
    recent: tuple[str, ...] = ()
    write_id: str = ""
    renew_of: str | None = None
    contexts: Mapping[str, Mapping[str, Json]]


class Tombstone(Struct, frozen=True, kw_only=True, gc=False):
    """An ended session: final.

    `grace` is the session as it was before a renew, None otherwise and once the grace is over.
    """

    key: str
    version: int
    created: int
    accessed: int
    invalidated: int
    reason: Reason
    write_id: str = ""
    renewed_to: str | None = None
    grace_until: int | None = None
    grace: Session | None = None


Record: TypeAlias = Session | Tombstone


class Mark(Struct, frozen=True, kw_only=True):
    """What asking the store for a known session tells: enough to see whether a copy holds.

    Of a tombstone only `version` and `is_valid` mean anything. `version` and `write_id` together
    name one content, for ever: a key that is purged and created again counts from 1, and so does
    what was set back to a backup. An empty `write_id` names nothing.
    """

    version: int
    is_valid: bool
    accessed: int = 0
    last_accessed: int = 0
    expiry: int | None = None
    max_idle_ms: int = 0
    last_node: str = ""
    last_saved: int = 0
    write_id: str = ""

    def names(self, record: Record) -> bool:
        """Whether this is the mark of the very content of a live session's record."""
        return (self.version, self.write_id) == (record.version, record.write_id)
