"""Records as entities of Datastore: the whole as JSON, and beside it what queries ask for.

Each property that is asked for has Datastore's own index, and holds all that its query is to
answer: a text that begins with a time. So no composite index is needed, and content is not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from google.cloud.datastore_v1.types import Entity, Key, Value

from moorline_sidecar.domain.session import Record, Session, Tombstone
from moorline_sidecar.stores.base import AccessGuard, Copy, Expired
from moorline_sidecar.stores.json_records import member_of, member_text, record_of, text_of
from moorline_sidecar.stores.registry import Member

EXPIRY: Final = "expiry"
"""Of a session that is no copy: when it expires, and the rest of its guard."""
ACCESSED: Final = "accessed"
"""Of a session: when it was accessed, and when it expires."""
COPIED: Final = "copied"
"""Of a copy: when it was last saved, its version and its origin."""
GRACE_UNTIL: Final = "graceUntil"
INVALIDATED: Final = "invalidated"
"""Of a tombstone."""
PRINCIPAL: Final = "principal"
BEAT: Final = "beat"
"""Of a process."""

INDEXED: Final = (EXPIRY, ACCESSED, COPIED, GRACE_UNTIL, INVALIDATED, PRINCIPAL)

NUMBERS: Final = frozenset({GRACE_UNTIL, INVALIDATED, BEAT})
"""Those that are times and nothing else; the others are texts."""

ENTITY_BYTES_MAX: Final = 1_048_572
"""With its key: the limit of Datastore."""

_CONTENT: Final = "record"
_PREFIX: Final = "s."
"""Of a session's name: one that begins and ends with two underscores is not allowed."""


def name_of(key: str) -> str:
    return f"{_PREFIX}{key}"


def key_of(entity: Entity) -> str:
    """The session's key."""
    return str(entity.key.path[-1].name).removeprefix(_PREFIX)


def entity_of(key: Key, record: Record) -> Entity:
    asked = _of_session(record) if isinstance(record, Session) else _of_tombstone(record)
    return _entity(key, text_of(record), asked)


def record_in(entity: Entity) -> Record | None:
    """None: nobody can read it."""
    return record_of(key_of(entity), _content(entity))


def is_too_large(entity: Entity) -> bool:
    return Entity.pb(entity).ByteSize() > ENTITY_BYTES_MAX  # type: ignore[no-any-return]


def time_text(milliseconds: int) -> str:
    """Sorted like the time, and before every text that goes on from it."""
    return f"{milliseconds:020d}"


def expired_in(entity: Entity) -> Expired:
    """Of a projection of `EXPIRY`."""
    expiry, accessed, last_node = _text(entity, EXPIRY).split(" ", 2)
    return Expired(key=key_of(entity), access=AccessGuard(int(accessed), int(expiry), last_node))


def copy_in(entity: Entity) -> Copy:
    """Of a projection of `COPIED`."""
    _, version, origin = _text(entity, COPIED).split(" ", 2)
    return Copy(key=key_of(entity), origin=origin, version=int(version))


def expiry_in(entity: Entity) -> int | None:
    """Of a projection of `ACCESSED`."""
    _, _, expiry = _text(entity, ACCESSED).partition(" ")
    return int(expiry) if expiry else None


def member_entity(key: Key, member: Member) -> Entity:
    return _entity(key, member_text(member), {BEAT: Value(integer_value=member.beat)})


def member_in(entity: Entity) -> Member | None:
    """None: nobody can read it."""
    try:
        return member_of(_content(entity))
    except msgspec.MsgspecError:
        return None


def _of_session(session: Session) -> dict[str, Value]:
    expiry = session.expiry
    used = f"{time_text(session.accessed)} {'' if expiry is None else expiry}"
    asked = {ACCESSED: Value(string_value=used)}
    if session.principal is not None:
        asked[PRINCIPAL] = Value(string_value=session.principal)
    if session.renew_of is not None:
        saved = f"{time_text(session.last_saved)} {session.version} {session.renew_of}"
        asked[COPIED] = Value(string_value=saved)
    elif expiry is not None:
        guard = f"{time_text(expiry)} {session.accessed} {session.last_node}"
        asked[EXPIRY] = Value(string_value=guard)
    return asked


def _of_tombstone(tombstone: Tombstone) -> dict[str, Value]:
    asked = {INVALIDATED: Value(integer_value=tombstone.invalidated)}
    if tombstone.grace_until is not None:
        asked[GRACE_UNTIL] = Value(integer_value=tombstone.grace_until)
    return asked


def _entity(key: Key, content: str, asked: Mapping[str, Value]) -> Entity:
    whole = Value(string_value=content, exclude_from_indexes=True)
    return Entity(key=key, properties={_CONTENT: whole, **asked})


def _content(entity: Entity) -> str:
    return _text(entity, _CONTENT) if _CONTENT in entity.properties else ""


def _text(entity: Entity, name: str) -> str:
    return str(entity.properties[name].string_value)
