"""What the L2 holds of a session, as bytes: the content of one version, which never changes.

    "M1" | 16 bytes of BLAKE2b over name, write id and content | content as MessagePack

A name is made of cluster, key and version, so an item is of one version by its name alone; the
digest proves that it is of one write, too. What is anything else reads as nothing.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from typing import Final

import msgspec
from msgspec import Struct

from moorline_sidecar.domain.content import content_of
from moorline_sidecar.domain.session import Json, Mark, Session

FORMAT: Final = b"M1"
"""Changes with the layout: what another version of the sidecar has written is a miss."""

DIGEST_BYTES: Final = 16
NAME_BYTES: Final = 24

ITEM_BYTES_MAX: Final = 1_000_000
"""memcached takes 1 MiB by default, its own header and the name included."""

TTL_SECONDS_MAX: Final = 3_600
"""How long what has ended stays in memory there, and what somebody edited by hand is not seen."""


class _Content(Struct, frozen=True, array_like=True):
    """All of a session that only a change of its version changes; the rest is in its mark."""

    created: int
    deadline: int | None
    cookie_set: int
    principal: str | None
    recent: tuple[str, ...]
    contexts: dict[str, dict[str, Json]]


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Content).decode


def item_name(cluster: str, key: str, version: int) -> bytes:
    """What the item is found by: 41 characters that memcached takes, and no key is read from."""
    text = f"{cluster}\0{key}\0{version}".encode()
    digest = hashlib.blake2b(text, digest_size=NAME_BYTES).digest()
    return b"moorline:" + urlsafe_b64encode(digest)


def item_of(name: bytes, session: Session) -> bytes | None:
    """The item; None for what is not kept.

    That is a copy of a renew that may not have happened, what has no `write_id`, what is too big,
    and what MessagePack cannot say.
    """
    if session.renew_of is not None or not session.write_id:
        return None
    try:
        content = _encode(
            _Content(
                session.created,
                session.deadline,
                session.cookie_set,
                session.principal,
                session.recent,
                {context: dict(found) for context, found in session.contexts.items()},
            )
        )
    except (ValueError, TypeError, OverflowError, RecursionError):
        # Half a character pair, an integer beyond 64 bits.
        return None
    item = FORMAT + _digest(name, session.write_id, content) + content
    return item if len(item) <= ITEM_BYTES_MAX else None


def session_of(name: bytes, key: str, mark: Mark, item: bytes) -> Session | None:
    """The session that a mark was just given of, with its content; None if it is of another."""
    start = len(FORMAT) + DIGEST_BYTES
    content = item[start:]
    if item[:start] != FORMAT + _digest(name, mark.write_id, content):
        return None
    try:
        found = _decode(content)
    except (msgspec.DecodeError, RecursionError):
        return None
    return Session(
        key=key,
        version=mark.version,
        created=found.created,
        accessed=mark.accessed,
        last_accessed=mark.last_accessed,
        max_idle_ms=mark.max_idle_ms,
        expiry=mark.expiry,
        deadline=found.deadline,
        last_node=mark.last_node,
        last_saved=mark.last_saved,
        cookie_set=found.cookie_set,
        principal=found.principal,
        recent=found.recent,
        write_id=mark.write_id,
        contexts=content_of(found.contexts),
    )


def ttl_of(session: Session) -> int:
    """Seconds; what nobody comes back to in time is of no use any more."""
    idle_seconds = -(-session.max_idle_ms // 1000) or TTL_SECONDS_MAX
    return min(idle_seconds, TTL_SECONDS_MAX)


def _digest(name: bytes, write_id: str, content: bytes) -> bytes:
    found = hashlib.blake2b(name, digest_size=DIGEST_BYTES)
    # The name is of one length, and a write id never holds NUL where it matters: content follows.
    found.update(f"{len(write_id)}:{write_id}".encode())
    found.update(content)
    return found.digest()
