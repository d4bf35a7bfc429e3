"""What a request asks to change, and the session that comes of it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, structs

from moorline_sidecar.domain.attributes import INTEGER_MAX, INTEGER_MIN, escaped
from moorline_sidecar.domain.content import Content, content_of
from moorline_sidecar.domain.policies import RECENT_KEYS, Policy, expiry_of
from moorline_sidecar.domain.serials import parted
from moorline_sidecar.domain.session import Json, Session
from moorline_sidecar.errors import InvalidValue, TooLarge
from moorline_sidecar.hot import Times

_KINDS = {bool: "a boolean", str: "a string", list: "an array", dict: "an object"}
"""Of JSON, for people who send it."""

_encode = msgspec.json.Encoder().encode


class Patch(Struct, frozen=True, kw_only=True):
    """Changes to one context and to the session; no name stands in two of the members.

    `replace` are all attributes that the context is to have, before `set` and the others apply.
    """

    context: str
    replace: Mapping[str, Json] | None = None
    set: Mapping[str, Json] = {}
    unset: tuple[str, ...] = ()
    increment: Mapping[str, int | float] = {}
    max_idle_ms: int | UnsetType = UNSET
    principal: str | UnsetType | None = UNSET

    @property
    def is_empty(self) -> bool:
        """Whether it changes nothing, so that nothing is to be written."""
        return not self.attributes_change and not self.is_about_session

    @property
    def attributes_change(self) -> bool:
        return bool(self.set or self.unset or self.increment) or self.replace is not None

    @property
    def is_about_session(self) -> bool:
        return self.max_idle_ms is not UNSET or self.principal is not UNSET

    @property
    def size(self) -> int:
        """The bytes of the attributes that it brings, as JSON."""
        return len(_encode((self.replace, self.set, self.unset, self.increment)))

    @property
    def is_deferrable(self) -> bool:
        """Whether a save mode other than `Write` may keep it in memory for a while."""
        return not self.increment and not self.is_about_session


def content_size(contexts: Mapping[str, Mapping[str, Json]]) -> int:
    """The bytes that count against `sessions.maxBytes`: all contexts as JSON."""
    return contexts.size if isinstance(contexts, Content) else len(_encode(contexts))


def patched(session: Session, patch: Patch, max_bytes: int) -> Session:
    """The session with the patch's content; version and times are the same.

    A session over the limit may still shrink.

    Raises:
        InvalidValue: an increment of what is no number, or beyond 64 bits.
        TooLarge: the content would grow beyond `max_bytes`.
    """
    changes: dict[str, Json] = {}
    if patch.attributes_change:
        content = content_of(session.contexts)
        contexts = content.put(patch.context, _patched_attributes(content, patch))
        _check_size(session, contexts, max_bytes)
        changes["contexts"] = contexts
    if patch.max_idle_ms is not UNSET:
        changes["max_idle_ms"] = patch.max_idle_ms
    if patch.principal is not UNSET:
        changes["principal"] = patch.principal
    return structs.replace(session, **changes) if changes else session


def stamped(  # noqa: PLR0913 each is a fact of its own
    session: Session,
    *,
    version: int,
    write_id: str,
    policy: Policy,
    times: Times,
    now: int,
    is_access: bool = True,
) -> Session:
    """The session as this worker writes it now, with a version of its own.

    `times` are those that this worker knows, written or not. A save in the background is no access.
    """
    accessed = max(now, times.own_accessed) if is_access else times.own_accessed
    return structs.replace(
        session,
        version=version,
        write_id=write_id,
        last_accessed=times.own_accessed if is_access else times.own_last_accessed,
        accessed=accessed,
        expiry=expiry_of(accessed, session.max_idle_ms, session.deadline),
        last_node=policy.worker,
        last_saved=now,
    )


def remembering(session: Session, idempotency_key: str) -> Session:
    """The session with the key among its last 16."""
    serials, keys = parted(session.recent)
    recent = (*serials, *(*keys, idempotency_key)[-RECENT_KEYS:])
    return structs.replace(session, recent=recent)


def _patched_attributes(content: Content, patch: Patch) -> dict[str, Json | Raw]:
    attributes: dict[str, Json | Raw] = {}
    attributes.update(content.raw(patch.context) if patch.replace is None else patch.replace)
    attributes.update(patch.set)
    for name in patch.unset:
        attributes.pop(name, None)
    for name, amount in patch.increment.items():
        value = attributes.get(name, 0)
        known = msgspec.json.decode(value) if isinstance(value, Raw) else value
        attributes[name] = _incremented(name, known, amount)
    return attributes


def _incremented(name: str, value: Json, amount: float) -> int | float:
    pointer = f"/increment/{escaped(name)}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        kind = "null" if value is None else _KINDS.get(type(value), "something else")
        raise InvalidValue(pointer, f"the attribute is no number but {kind}; set it instead")
    total = value + amount
    if isinstance(total, int):
        if not INTEGER_MIN <= total <= INTEGER_MAX:
            raise InvalidValue(pointer, "the sum is an integer beyond 64 bits")
    elif not math.isfinite(total):
        raise InvalidValue(pointer, "the sum is beyond the range of a double")
    return total


def _check_size(
    session: Session, contexts: Mapping[str, Mapping[str, Json]], max_bytes: int
) -> None:
    size = content_size(contexts)
    if size > max_bytes and size > content_size(session.contexts):
        raise TooLarge(size, max_bytes)
